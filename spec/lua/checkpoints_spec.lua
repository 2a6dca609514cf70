-- SPDX-License-Identifier: MIT
-- assert_checkpoints and assert_no_checkpoints: what counts as a checkpoint,
-- and what comes out of them.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local assert_checkpoints = trio.testing.assert_checkpoints
local assert_no_checkpoints = trio.testing.assert_no_checkpoints

local half_cancel = lowlevel.checkpoint_if_cancelled
local half_schedule = lowlevel.cancel_shielded_checkpoint

describe("assert_checkpoints", function()
  H.trio_it("TEST-04 fails where nothing or half a checkpoint is passed",
    function()
      H.raises("^assert_checkpoints: .* no schedule point$",
        assert_checkpoints, function() end)
      H.raises("^assert_checkpoints: .* no schedule point$",
        assert_checkpoints, half_cancel)
      H.raises("^assert_checkpoints: .* no cancel point$",
        assert_checkpoints, half_schedule)
    end)

  H.trio_it("TEST-04 takes a whole checkpoint, or both halves", function()
    assert_checkpoints(lowlevel.checkpoint)
    assert_checkpoints(function() trio.sleep(0) end)
    assert_checkpoints(function() trio.sleep(1) end)
    assert_checkpoints(function()
      half_cancel()
      half_schedule()
    end)
  end)

  H.trio_it("TEST-04 lets an error pass, checkpoint or not", function()
    local value = {}
    local function fail() error(value) end
    assert.is_true(rawequal(value,
      H.raises("^table: ", assert_checkpoints, fail)))
    assert.is_true(rawequal(value,
      H.raises("^table: ", assert_checkpoints, function()
        lowlevel.checkpoint()
        fail()
      end)))
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      assert_checkpoints(lowlevel.checkpoint)
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("returns the results of its body", function()
    local results = table.pack(assert_checkpoints(function(...)
      lowlevel.checkpoint()
      return select("#", ...), nil, "x", nil
    end))
    assert.same({0, nil, "x", nil, n = 4}, results)
  end)
end)

describe("assert_no_checkpoints", function()
  H.trio_it("TEST-05 takes a body without any part of a checkpoint",
    function()
      local results = table.pack(assert_no_checkpoints(function(...)
        return select("#", ...), nil, "x", nil
      end))
      assert.same({0, nil, "x", nil, n = 4}, results)
    end)

  H.trio_it("TEST-05 fails at a checkpoint and at either half", function()
    H.raises("^assert_no_checkpoints: .* a cancel point$",
      assert_no_checkpoints, half_cancel)
    H.raises("^assert_no_checkpoints: .* a schedule point$",
      assert_no_checkpoints, half_schedule)
    H.raises("^assert_no_checkpoints: .* a schedule point$",
      assert_no_checkpoints, lowlevel.checkpoint)
  end)

  H.trio_it("TEST-05 fails also where an error leaves the body", function()
    H.raises("a schedule point; then it raised: boom$",
      assert_no_checkpoints, function()
        lowlevel.checkpoint()
        error("boom", 0)
      end)
    local scope = trio.CancelScope()
    H.raises("then it raised: Cancelled", scope.run, scope, function()
      scope:cancel()
      assert_no_checkpoints(lowlevel.checkpoint)
    end)
    assert.is_false(scope.cancelled_caught)
  end)

  H.trio_it("TEST-05 lets an error pass that comes without one", function()
    local value = {}
    local err = H.raises("^table: ", assert_no_checkpoints, function()
      error(value)
    end)
    assert.is_true(rawequal(value, err))
  end)
end)

describe("wrong use", function()
  H.trio_it("names the function, the argument and the place", function()
    for name, f in pairs {assert_checkpoints = assert_checkpoints,
      assert_no_checkpoints = assert_no_checkpoints} do
      for _, wrong in ipairs {1, "x", {}} do
        H.raises("^[^:]*checkpoints_spec%.lua:%d+: bad argument #1 to '"
          .. name .. "' %(function expected, got " .. type(wrong) .. "%)$",
          function() f(wrong) end)
      end
      H.raises("#1 to '" .. name .. "' %(function expected, got nil%)",
        function() f() end)
    end
  end)

  H.trio_it("reports a failure where the function was called", function()
    H.raises("^[^:]*checkpoints_spec%.lua:%d+: assert_checkpoints: ",
      function() assert_checkpoints(function() end) end)
    H.raises("^[^:]*checkpoints_spec%.lua:%d+: assert_no_checkpoints: ",
      function() assert_no_checkpoints(lowlevel.checkpoint); return 1 end)
  end)

  H.trio_it("takes anything that can be called", function()
    local callable = setmetatable({}, {__call = function() return "called" end})
    assert.equal("called", assert_no_checkpoints(callable))
  end)

  it("is refused outside of a task", function()
    H.raises("^trio%.testing%.assert_checkpoints must be called from inside "
      .. "a task", assert_checkpoints, function() end)
    H.raises("^trio%.testing%.assert_no_checkpoints must be called from "
      .. "inside a task", assert_no_checkpoints, function() end)
  end)
end)
