-- A certificate for localhost, made once a run, for specs of TLS.

local process = require "lunation.process"
local support = require "spec.support"

local certificate = {}

--- Makes a key and a self-signed certificate; returns their paths.
---@param name string? common name
---@return string cert, string key
function certificate.make(name)
  local dir = support.tmpdir()
  local cert, key = dir .. "/cert.pem", dir .. "/key.pem"
  local result = process.run {
    args = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
      "-keyout", key, "-out", cert, "-subj", "/CN=" .. (name or "localhost"),
      "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1" },
    stderr = "pipe",
  }
  assert(result.code == 0, result.stderr)
  return cert, key
end

return certificate
