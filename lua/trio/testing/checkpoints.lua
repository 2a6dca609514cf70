-- SPDX-License-Identifier: MIT
-- checkpoints.lua: trio.testing.assert_checkpoints and assert_no_checkpoints:
-- did a piece of code give the others a turn, and the cancellation a chance?
--
-- A task counts the schedule points and the cancel points that it passes.
-- Only both together make a checkpoint; neither must be passed where there is
-- to be none. An error of the body always passes assert_checkpoints, because
-- an operation that failed needn't have come to its checkpoint.

local error, setmetatable, pack, unpack =
  error, setmetatable, table.pack, table.unpack

return function(trio, kit)
  local check, testing = kit.check, trio.testing
  local points = testing._points

  --- assert_checkpoints(body): body's results; an error if it passed no
  --- checkpoint.
  function testing.assert_checkpoints(body)
    check.callable(body, 1, "assert_checkpoints")
    check.task("trio.testing.assert_checkpoints")
    local schedule, cancel = points()
    local results = pack(body())
    local schedule_after, cancel_after = points()
    if schedule == schedule_after then
      error("assert_checkpoints: the body passed no schedule point", 2)
    elseif cancel == cancel_after then
      error("assert_checkpoints: the body passed no cancel point", 2)
    end
    return unpack(results, 1, results.n)
  end

  -- Closing it compares, however the body was left.
  local Watch = {__metatable = false}

  function Watch:__close(err)
    local schedule, cancel = points()
    if schedule == self.schedule and cancel == self.cancel then return end
    local problem = "assert_no_checkpoints: the body passed a "
      .. (schedule ~= self.schedule and "schedule" or "cancel") .. " point"
    if err ~= nil then
      problem = ("%s; then it raised: %s"):format(problem, tostring(err))
    end
    error(problem, 3)
  end

  --- assert_no_checkpoints(body): body's results; an error if it passed even
  --- a part of a checkpoint, also where the body failed.
  function testing.assert_no_checkpoints(body)
    check.callable(body, 1, "assert_no_checkpoints")
    check.task("trio.testing.assert_no_checkpoints")
    local schedule, cancel = points()
    local _ <close> = setmetatable({schedule = schedule, cancel = cancel},
      Watch)
    return body()
  end
end
