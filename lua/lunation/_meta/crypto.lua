---@meta lunation.crypto
-- Random bytes, hashes, sealing and signatures, by OpenSSL. What cannot be done gives nil and {code="crypto", message=}.

local crypto = {}

---@class lunation.crypto.Key a parsed key, to sign or verify with often

---@class lunation.crypto.Pair
---@field private string    PEM, PKCS #8
---@field public string     PEM, SubjectPublicKeyInfo
---@field raw_public string 32 bytes

---@param n integer 0 to 1048576
---@return string bytes
function crypto.random(n) end

---@param text string
---@return string bytes 32
function crypto.sha256(text) end

---@param hash string such as "sha256"
---@param key string
---@param text string
---@return string? bytes
---@return table? err
function crypto.hmac(hash, key, text) end

---Compares in a time that depends on the lengths only.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

---Derives 32 bytes (RFC 7914, N=16384 r=8 p=1: 16 MiB, tens of milliseconds).
---@param password string
---@param salt string
---@return string? bytes
---@return table? err
function crypto.scrypt(password, salt) end

---Seals with AES-256-GCM under a random nonce: nonce, ciphertext, tag.
---@param key string 32 bytes
---@param text string
---@param aad? string context that opening must name again
---@return string? sealed 28 bytes longer than text
---@return table? err
function crypto.seal(key, text, aad) end

---@param key string 32 bytes
---@param sealed string
---@param aad? string
---@return string? text
---@return table? err
function crypto.open(key, sealed, aad) end

---@param pem string
---@return lunation.crypto.Key? key
---@return table? err
function crypto.key(pem) end

---@param kind "ed25519"
---@return lunation.crypto.Pair
function crypto.keypair(kind) end

---@param key string|lunation.crypto.Key private
---@param text string
---@return string? signature 64 bytes
---@return table? err
function crypto.sign(key, text) end

---@param key string|lunation.crypto.Key public
---@param text string
---@param signature string
---@return boolean? valid
---@return table? err only when the key cannot be read
function crypto.verify(key, text, signature) end

---@param bytes string
---@return string
function crypto.hex(bytes) end

---@param text string
---@return string? bytes nil when it is no hexadecimal
function crypto.unhex(text) end

---@param bytes string
---@return string text RFC 4648 section 4, padded
function crypto.base64(bytes) end

---@param bytes string
---@return string text RFC 4648 section 5, without padding
function crypto.base64url(bytes) end

---Reads strictly; padding may be left out.
---@param text string
---@return string? bytes
function crypto.unbase64(text) end

---@param text string
---@return string? bytes
function crypto.unbase64url(text) end

---@return string uuid version 4, RFC 9562
function crypto.uuid() end

---@param space string a UUID
---@param name string
---@return string uuid version 5, the same for the same arguments
function crypto.uuid5(space, name) end

return crypto
