-- Loaded by busted before the first spec.
return true
