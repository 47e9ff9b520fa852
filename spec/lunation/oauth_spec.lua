-- Client authentication: what a guess at a secret may cost.
local clients = require "lunation.oauth.clients"
local crypto = require "lunation.crypto"
local oauth = require "lunation.oauth"
local support = require "spec.support.store"

describe("lunation.oauth client authentication", function()
  local scrypt, hashed = crypto.scrypt, 0
  local store, server

  before_each(function()
    store = support.open()
    assert(store:app_add { id = "shop", name = "Shop", secret = clients.hash "right" })
    assert(store:app_add { id = "till", name = "Till", secret = clients.hash "other" })
    server = oauth.new { store = store }
    hashed = 0
    crypto.scrypt = function(...)
      hashed = hashed + 1
      return scrypt(...)
    end
  end)
  after_each(function()
    crypto.scrypt = scrypt
    store:close()
  end)

  it("hashes no more guesses than an address has, and goes on to know the right secret", function()
    assert.equal("shop", assert(server:client("shop", "right", "192.0.2.1")).id)
    local refused = {}
    for i = 1, 40 do
      local app, err = server:client("shop", "guess " .. i, "192.0.2.1")
      assert.is_nil(app)
      refused[err.code] = (refused[err.code] or 0) + 1
    end
    assert.same({ invalid_client = 30, rate_limited = 10 }, refused)
    assert.equal(31, hashed)
    assert.equal("shop", server:client("shop", "right", "192.0.2.1").id)
    assert.equal("till", server:client("till", "other", "192.0.2.2").id)
    local _, err = server:client("till", "wrong", "192.0.2.1")
    assert.equal("rate_limited", err.code)
    assert.is_true(err.retry_after >= 1 and err.retry_after <= 300)
  end)
end)
