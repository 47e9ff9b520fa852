local crypto = require "lunation.crypto"

local function bytes(hex) return crypto.unhex(hex) end

describe("lunation.crypto", function()
  it("hashes as FIPS 180-4 and RFC 4231 show", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", crypto.hex(crypto.sha256("abc")))
    assert.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      crypto.hex(crypto.hmac("sha256", ("\x0b"):rep(20), "Hi There")))
    assert.is_nil(crypto.hmac("no such hash", "key", "text"))
  end)

  it("writes and reads Base64 of every length", function()
    for text, plain in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=" } do
      assert.equal(plain, crypto.base64(text))
      assert.equal(text, crypto.unbase64(plain))
    end
    assert.equal("-_8", crypto.base64url("\xfb\xff"))
    assert.equal("\xfb\xff", crypto.unbase64url("-_8"))
    for n = 0, 100 do
      local text = crypto.random(n)
      assert.equal(n, #text)
      assert.equal(text, crypto.unbase64(crypto.base64(text)))
      assert.equal(text, crypto.unbase64url(crypto.base64url(text)))
      assert.equal(text, crypto.unhex(crypto.hex(text)))
    end
  end)

  it("refuses what is no Base64, and a second spelling of the same bytes", function()
    for _, text in ipairs { "Z", "Zg=", "Z===", "Zm9v=", "Z g=", "Zh==", "Zm9=", "Zm-v", "Zm9v\n" } do
      assert.is_nil(crypto.unbase64(text), text)
    end
    assert.is_nil(crypto.unbase64url("+/8"))
    assert.is_nil(crypto.unhex("abc"))
    assert.is_nil(crypto.unhex("zz"))
  end)

  it("opens what it sealed, with the same key and context only", function()
    local key, sealed = crypto.random(32), nil
    for _, text in ipairs { "", "secret", ("x"):rep(100000) } do
      sealed = crypto.seal(key, text, "account 7")
      assert.equal(#text + 28, #sealed)
      assert.equal(text, crypto.open(key, sealed, "account 7"))
    end
    assert.not_equal(crypto.seal(key, "a", ""), crypto.seal(key, "a", ""))
    for _, case in ipairs {
      { crypto.random(32), sealed, "account 7" }, { key, sealed, "account 8" }, { key, sealed:sub(1, -2), "account 7" },
      { key, sealed:sub(1, 40) .. string.char(sealed:byte(41) ~ 1) .. sealed:sub(42), "account 7" }, { key, "short", "" },
    } do
      local plain, err = crypto.open(table.unpack(case))
      assert.is_nil(plain)
      assert.equal("crypto", err.code)
    end
    assert.has_error(function() crypto.seal("short", "x") end)
  end)

  it("signs as RFC 8032 section 7.1 shows", function()
    -- Test 2: a secret key as PKCS #8 (RFC 8410 section 7).
    local der = bytes("302e020100300506032b657004220420" .. "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    local pem = "-----BEGIN PRIVATE KEY-----\n" .. crypto.base64(der) .. "\n-----END PRIVATE KEY-----\n"
    assert.equal("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
      crypto.hex(crypto.sign(pem, "\x72")))
  end)

  it("verifies with the public half, parsed or as PEM", function()
    local pair = crypto.keypair("ed25519")
    assert.equal(32, #pair.raw_public)
    local signature = crypto.sign(crypto.key(pair.private), "text")
    assert.equal(64, #signature)
    assert.is_true(crypto.verify(pair.public, "text", signature))
    assert.is_true(crypto.verify(crypto.key(pair.public), "text", signature))
    assert.is_false(crypto.verify(pair.public, "test", signature))
    assert.is_false(crypto.verify(pair.public, "text", "short"))
    assert.is_false(crypto.verify(crypto.keypair("ed25519").public, "text", signature))
    local key, err = crypto.key("nothing")
    assert.is_nil(key)
    assert.equal("crypto", err.code)
  end)

  it("makes UUIDs of versions 4 and 5", function()
    assert.matches("^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$", crypto.uuid())
    assert.not_equal(crypto.uuid(), crypto.uuid())
    -- RFC 9562 appendix A.4.
    assert.equal("2ed6657d-e927-568b-95e1-2665a8aea6a2", crypto.uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com"))
    assert.has_error(function() crypto.uuid5("no uuid", "name") end)
  end)

  it("compares and derives", function()
    assert.is_true(crypto.equal("same", "same"))
    assert.is_false(crypto.equal("same", "sane"))
    assert.is_false(crypto.equal("same", "same "))
    assert.equal(32, #crypto.scrypt("password", "salt"))
    assert.equal(crypto.scrypt("password", "salt"), crypto.scrypt("password", "salt"))
    assert.not_equal(crypto.scrypt("password", "salt"), crypto.scrypt("password", "Salt"))
  end)
end)
