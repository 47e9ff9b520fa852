local xml = require "lunation.xml"

local function fault(text, options)
  local node, err = xml.parse(text, options)
  assert.is_nil(node)
  return err
end

describe("lunation.xml", function()
  it("reads names, namespaces, attributes, text and order", function()
    local root = assert(xml.parse [=[<?xml version="1.0" encoding="utf-8"?>
      <d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">
        <d:response><d:href>/a%20b/</d:href><c:comp name="VEVENT" d:x="1"/></d:response>
        <response xmlns="DAV:"><href>  /b &amp; &#x63; </href></response>
        <plain><![CDATA[<raw>]]> tail</plain>
      </d:multistatus>]=])
    assert.same({ "multistatus", "DAV:" }, { root.name, root.ns })
    assert.equal(3, #root)
    local responses = root:children("DAV:", "response")
    assert.equal(2, #responses)
    assert.equal("/a%20b/", responses[1]:child("DAV:", "href").text)
    assert.same({ name = "VEVENT", x = "1" }, responses[1]:child("urn:ietf:params:xml:ns:caldav", "comp").attrs)
    assert.equal("", responses[1][2].text)
    assert.is_nil(responses[1].text)
    assert.equal("  /b & c ", responses[2][1].text)
    assert.same({ "plain", "", "<raw> tail" }, { root[3].name, root[3].ns, root[3].text })
    assert.equal(responses[2][1], responses[2]:find("DAV:", "href"))
    assert.equal(responses[1][2], root:find("urn:ietf:params:xml:ns:caldav", "comp"))
    assert.is_nil(root:find("DAV:", "nothing"))
    assert.is_nil(root:child("DAV:", "href"))
  end)

  it("joins the text around child elements", function()
    local root = assert(xml.parse "<p>one <b>two</b> three</p>")
    assert.equal("one  three", root.text)
    assert.equal("two", root[1].text)
  end)

  it("takes no more than its share of time for text between many elements", function()
    local n = 1000000
    local root = assert(xml.parse("<p> " .. ("x<b/>\n"):rep(n) .. "</p>"))
    assert.equal(n, #root)
    assert.equal(" x" .. ("\nx"):rep(n - 1), root.text)
  end)

  it("reads other encodings as UTF-8", function()
    assert.equal("Caf\u{e9}", xml.parse('<?xml version="1.0" encoding="ISO-8859-1"?><a>Caf\xe9</a>').text)
  end)

  it("says where a document breaks", function()
    local err = fault("<a>\n  <b></a>")
    assert.same({ "invalid_xml", 2, 8 }, { err.code, err.line, err.column })
    assert.matches("line 2, column 8", tostring(err))
    for _, text in ipairs { "", "text", "<a>", "<a/><b/>", "<a>\xff</a>", "<a b='1' b='2'/>", "<x:a/>", "<!-- only -->" } do
      assert.equal("invalid_xml", fault(text).code, text)
    end
  end)

  it("takes no document type, and so no entities", function()
    assert.matches("document type", fault('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>').message)
    assert.matches("document type", fault("<!DOCTYPE html><html/>").message)
    assert.equal("invalid_xml", fault("<a>&undefined;</a>").code)
  end)

  it("bounds size and depth", function()
    assert.equal("too_large", fault("<a>text</a>", { max = 10 }).code)
    assert.matches("too deep", fault(("<a>"):rep(65) .. ("</a>"):rep(65)).message)
    assert.is_table(xml.parse(("<a>"):rep(64) .. ("</a>"):rep(64)))
    assert.matches("too deep", fault("<a><b><c/></b></a>", { depth = 2 }).message)
  end)

  it("escapes what it is given so that it reads back", function()
    local text = [[<a href="x">'&amp;' ]] .. "\u{20ac}\ttab"
    assert.equal(text, xml.parse("<t q=\"" .. xml.escape(text):gsub("\t", "&#9;") .. "\">" .. xml.escape(text) .. "</t>").text)
    assert.equal("ab", xml.escape("a\0\x1fb"))
  end)

  it("reads a large multistatus in one go", function()
    local parts = {}
    for i = 1, 20000 do
      parts[i] = "<response><href>/c/" .. i .. ".ics</href><propstat><prop><getetag>\"" .. i .. "\"</getetag></prop></propstat></response>"
    end
    local root = assert(xml.parse('<multistatus xmlns="DAV:">' .. table.concat(parts) .. "</multistatus>"))
    assert.equal(20000, #root)
    assert.equal('"20000"', root[20000]:find("DAV:", "getetag").text)
  end)
end)
