--- Listings that come page by page, and may never end: a link that was followed before, more pages than any calendar has,
--- or page after page with nothing on it.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"

local listing = {}

---@param options { pages: integer?, empty: integer?, title: string?, account: integer? } pages and empty ones in a row, at most
---@return fun(link: string, items: integer?): true?, lunation.Error? next_page asked before a link is followed, with how many
---  items the page had that it stood on
function listing.guard(options)
  local most, most_empty = options.pages or 10000, options.empty or 100
  local seen, pages, empty = {}, 1, 0
  return function(link, items)
    pages = pages + 1
    empty = items == 0 and empty + 1 or 0
    local digest = crypto.sha256(tostring(link))
    local why = seen[digest] and "a link of it leads to where it was before" or pages > most and ("it has more than %d pages"):format(most)
      or empty >= most_empty and ("%d pages in a row are empty"):format(empty)
    if why then
      return nil, errors.new("endless_listing", ("a listing of %s does not end: %s"):format(options.title or "the provider", why),
        { account = options.account, details = { original = tostring(link):match("^[^?#]*"), pages = pages - 1 } })
    end
    seen[digest] = true
    return true
  end
end

return listing
