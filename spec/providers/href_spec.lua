local href = require "lunation.caldav.href"

describe("addresses of CalDAV resources", function()
  it("have one form, however a server writes them", function()
    local base = "https://dav.example.org/cal/alice/"
    for reference, expected in pairs {
      ["/cal/alice/a.ics"] = "https://dav.example.org/cal/alice/a.ics",
      ["a.ics"] = "https://dav.example.org/cal/alice/a.ics",
      ["../bob/a.ics"] = "https://dav.example.org/cal/bob/a.ics",
      ["/cal/alice@example.org/"] = "https://dav.example.org/cal/alice%40example.org/",
      ["/cal/alice%40example.org/"] = "https://dav.example.org/cal/alice%40example.org/",
      ["/cal/%7ealice/%c3%a4.ics"] = "https://dav.example.org/cal/~alice/%C3%A4.ics",
      ["/cal/a%2Fb.ics"] = "https://dav.example.org/cal/a%2Fb.ics",
      ["//p42.example.org/cal/"] = "https://p42.example.org/cal/",
      ["HTTPS://DAV.Example.ORG:443/x"] = "https://dav.example.org/x",
      ["http://dav.example.org:80"] = "http://dav.example.org/",
      ["http://dav.example.org:8080/x?y=1#z"] = "http://dav.example.org:8080/x?y=1",
      ["https://user:secret@dav.example.org/x"] = "https://dav.example.org/x",
      ["http://[2001:DB8::1]:8080/x"] = "http://[2001:db8::1]:8080/x",
      ["  /spaced/  "] = "https://dav.example.org/spaced/",
      ["/../../x"] = "https://dav.example.org/x",
    } do
      assert.equal(expected, href.resolve(base, reference), reference)
    end
  end)

  it("are refused where they are no http", function()
    for _, reference in ipairs { "mailto:alice@example.org", "urn:uuid:1", "javascript:alert(1)", "ftp://example.org/" } do
      assert.is_nil(href.resolve("https://dav.example.org/", reference), reference)
    end
  end)

  it("give the name of a member and make it again", function()
    local url = href.member("https://dav.example.org/cal", "ä b.ics")
    assert.equal("https://dav.example.org/cal/%C3%A4%20b.ics", url)
    assert.equal("%C3%A4%20b.ics", href.name(url))
    assert.equal(url, href.member("https://dav.example.org/cal/", href.name(url)))
    assert.equal("", href.name("https://dav.example.org/cal/"))
  end)

  it("belong to an origin", function()
    assert.equal("https://dav.example.org", href.origin("https://DAV.example.org:443/x"))
    assert.equal("http://dav.example.org:8080", href.origin("http://dav.example.org:8080/"))
    assert.is_nil(href.origin("not an address"))
  end)
end)
