-- Secrets of applications: made here, kept only as a salted hash, compared in constant time.
local crypto = require "lunation.crypto"

local clients = {}

-- scrypt costs tens of milliseconds by design. A secret that was right once stays right while its hash stands, so the
-- answer is remembered by worker, under a key that does not give the secret away.
local VERIFIED_MAX = 1024
local verified, verified_count = {}, 0

---A new client secret: 256 random bits.
---@return string
function clients.new_secret()
  return crypto.base64url(crypto.random(32))
end

---A new client id.
---@return string
function clients.new_id()
  return crypto.hex(crypto.random(12))
end

---@param secret string
---@return string stored `scrypt$SALT$HASH`, Base64url
function clients.hash(secret)
  local salt = crypto.random(16)
  return ("scrypt$%s$%s"):format(crypto.base64url(salt), crypto.base64url(crypto.scrypt(secret, salt)))
end

---Whether this secret was found right before, which costs nothing to say.
---@param stored string|nil as made by `hash`
---@param secret string|nil
---@return boolean
function clients.remembered(stored, secret)
  if type(stored) ~= "string" or type(secret) ~= "string" or #secret > 512 then return false end
  return verified[crypto.sha256(stored .. "\0" .. secret)] == true
end

---@param stored string|nil as made by `hash`
---@param secret string|nil
---@return boolean
function clients.verify(stored, secret)
  if type(stored) ~= "string" or type(secret) ~= "string" or #secret > 512 then return false end
  local salt, hash = stored:match("^scrypt%$([%w_-]+)%$([%w_-]+)$")
  salt = salt and crypto.unbase64url(salt)
  hash = hash and crypto.unbase64url(hash)
  if not salt or not hash then return false end
  local key = crypto.sha256(stored .. "\0" .. secret)
  if verified[key] then return true end
  if not crypto.equal(crypto.scrypt(secret, salt), hash) then return false end
  if verified_count >= VERIFIED_MAX then verified, verified_count = {}, 0 end
  verified[key], verified_count = true, verified_count + 1
  return true
end

return clients
