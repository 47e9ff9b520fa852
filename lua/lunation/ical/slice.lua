-- Long work on calendar texts is done in slices, between which a worker answers others. Elsewhere than in the host there are no
-- others.
local found, task = pcall(require, "lunation.task")

local M = {}

-- Events of a slice: some milliseconds.
M.EVENTS = 250

---Gives the other tasks their turn.
function M.breathe()
  if found and task.breathe then task.breathe() end
end

return M
