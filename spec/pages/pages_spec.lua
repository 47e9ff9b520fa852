-- The parts of the pages: languages, templates, colours.

local colour = require "lunation.pages.colour"
local html = require "lunation.pages.html"
local language = require "lunation.pages.language"

describe("the language of a page", function()
  local cases = {
    { "es", nil, "es" }, { "pt", nil, "pt-PT" }, { "pt-BR", nil, "pt-BR" }, { "pt_br", nil, "pt-BR" }, { "pt-AO", nil, "pt-PT" },
    { "de-AT", nil, "de" }, { "AR", nil, "ar" },
    { nil, "fr-CA,fr;q=0.9,en;q=0.8", "fr" }, { nil, "zh,it;q=0.3", "it" }, { nil, "en;q=0.2,de;q=0.7", "de" },
    { nil, "da, pt-BR;q=0.8, pt;q=0.7", "pt-BR" }, { nil, "*", "en" }, { nil, nil, "en" }, { nil, "de;q=0", "en" },
    { "xx", "it", "it" }, { "../../etc", nil, "en" }, { "", "de", "de" },
  }
  for _, case in ipairs(cases) do
    it(("%s, %s → %s"):format(case[1], case[2], case[3]), function()
      assert.equal(case[3], language.choose(case[1], case[2]))
    end)
  end

  it("has every text in every language, with the same places to fill", function()
    local english = require "lunation.pages.locales.en"
    for _, tag in ipairs(language.all) do
      local own = require("lunation.pages.locales." .. tag:gsub("-", "_"))
      for key, text in pairs(english) do
        assert.is_string(own[key], tag .. " lacks " .. key)
        for place in text:gmatch("{[%w_]+}") do
          assert.is_truthy(own[key]:find(place, 1, true), ("%s: %s lacks %s"):format(tag, key, place))
        end
      end
      for key in pairs(own) do assert.is_string(english[key], tag .. " has the unknown " .. key) end
    end
  end)

  it("fills texts", function()
    assert.equal("Zurück zu Demo", language.texts "de"("back_to_app", { app = "Demo" }))
    assert.is_nil(language.texts "de" "no such text")
    assert.equal("rtl", language.direction "ar")
  end)
end)

describe("templates", function()
  it("escape values and keep HTML that is given as such", function()
    assert.equal("<p>&lt;b&gt;&amp;&quot;&#39;</p><i>x</i>", html.fill("<p>{text}</p>{{more}}", { text = "<b>&\"'", more = "<i>x</i>" }))
  end)
  it("never fill what a value holds", function()
    assert.equal("{b} {{b}}", html.fill("{a} {{c}}", { a = "{b}", b = "secret", c = "{{b}}" }))
  end)
  it("leave sections out", function()
    assert.equal("1  3", html.fill("1 {#two}2 {two}{/two} 3", {}))
    assert.equal("1 2 x 3", html.fill("1 {#two}2 {two}{/two} 3", { two = "x" }))
    assert.equal("ab", html.fill("{#a}a{#b}b{/b}{/a}", { a = true, b = true }))
    assert.equal("", html.fill("{#a}a{#b}b{/b}{/a}", { b = true }))
  end)
end)

describe("the colour of an application", function()
  local function luminance(hex)
    local function part(i)
      local c = tonumber(hex:sub(i, i + 1), 16) / 255
      return c <= 0.03928 and c / 12.92 or ((c + 0.055) / 1.055) ^ 2.4
    end
    return 0.2126 * part(2) + 0.7152 * part(4) + 0.0722 * part(6)
  end
  local function contrast(a, b)
    local x, y = luminance(a), luminance(b)
    return (math.max(x, y) + 0.05) / (math.min(x, y) + 0.05)
  end
  for _, given in ipairs { "#ffff00", "#fff", "#000000", "#ff0000", "#3b5bdb", "#888888", "#0f0", "none", "red; } body { display: none" } do
    it("is readable on light and on dark: " .. given, function()
      for _, ground in ipairs { "#ffffff", "#1b1d23" } do
        local accent, on = colour.accent(given, ground, "#3b5bdb")
        assert.is_truthy(accent:find("^#%x%x%x%x%x%x$"))
        assert.is_true(contrast(accent, ground) >= 4.5)
        assert.is_true(contrast(accent, on) >= 4.5)
      end
    end)
  end
end)
