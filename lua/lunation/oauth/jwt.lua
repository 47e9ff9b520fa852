-- JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), and nothing else.
--
-- The header of our tokens is a constant per key, so verifying compares it byte for byte with the headers of the
-- keys at hand: a token that names another algorithm, or a key that is not ours, never reaches a signature check.
local crypto = require "lunation.crypto"
local json = require "lunation.json"

local jwt = {}

-- Longer than any token we issue; what is longer is not worth decoding.
local LONGEST = 4096

---@class lunation.jwt.key
---@field kid string
---@field private lunation.crypto.Key|nil
---@field public lunation.crypto.Key
---@field header string the encoded header of every token this key signs

---Complete a key by the header its tokens carry.
---@param kid string
---@param public string PEM
---@param private string|nil PEM
---@return lunation.jwt.key
function jwt.key(kid, public, private)
  local header = crypto.base64url(json.encode({ alg = "EdDSA", kid = kid, typ = "JWT" }, { sorted = true }))
  return { kid = kid, public = assert(crypto.key(public)), private = private and assert(crypto.key(private)), header = header }
end

---@param key lunation.jwt.key
---@param claims table
---@return string token
function jwt.sign(key, claims)
  local signed = key.header .. "." .. crypto.base64url(json.encode(claims, { sorted = true }))
  return signed .. "." .. crypto.base64url(crypto.sign(key.private, signed))
end

---Check form, header and signature. Time and meaning of the claims are the caller's business.
---@param token string
---@param by_header table<string, lunation.jwt.key>
---@return table|nil claims nil when the token is not one of ours
function jwt.verify(token, by_header)
  if type(token) ~= "string" or #token > LONGEST then return nil end
  local header, payload, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
  local key = header and by_header[header]
  if not key then return nil end
  local bytes = crypto.unbase64url(signature)
  -- The last character of unpadded Base64 has spare bits: only the canonical spelling is a token.
  if not bytes or #bytes ~= 64 or crypto.base64url(bytes) ~= signature then return nil end
  if not crypto.verify(key.public, header .. "." .. payload, bytes) then return nil end
  local text = crypto.unbase64url(payload)
  local claims = text and json.decode(text)
  return type(claims) == "table" and claims or nil
end

return jwt
