-- SPDX-License-Identifier: MIT
-- start_errors_spec.lua: nursery:start and errors: before started() they are
-- the caller's, bare and by identity; after it they are the nursery's.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local now = trio.current_time
local THIS = "start_errors_spec%.lua:%d+: "

local function nop() end

-- A value to raise that nobody else has; its text is `name`.
local function failure(name)
  return setmetatable({}, {__tostring = function() return name end})
end

describe("an error before started", function()
  trio_it("START-05 comes out of start bare, and touches nobody else",
    function()
      local K = failure "K"
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 3)
        assert.is_true(rawequal(K, H.raises("", nursery.start, nursery,
          function() error(K) end)))
        assert.is_false(nursery.cancel_scope.cancel_called)
        trio.sleep(1)
      end)
      assert.equal(3, now())
    end)

  trio_it("may be a value of any type", function()
    trio.open_nursery(function(nursery)
      for _, value in ipairs {false, 0, "text", {}, nop, io.stdout} do
        local ok, err = pcall(nursery.start, nursery, function()
          lowlevel.checkpoint()
          error(value, 0)
        end)
        assert.is_false(ok)
        assert.is_true(rawequal(value, err))
      end
      local got = table.pack(pcall(nursery.start, nursery,
        function() error(nil) end))
      assert.same({false, nil, n = 2}, got)
    end)
  end)

  trio_it("START-06 is an error of the body when the body lets it", function()
    local V = failure "V"
    H.group_of(H.raises("", trio.open_nursery, function(nursery)
      nursery:start(function() error(V) end)
    end), V)
  end)

  trio_it("is the caller's, not that of the nursery's owner", function()
    local V, caller_got = failure "V", nil
    trio.open_nursery(function(outer)
      local target
      outer:start_soon(trio.open_nursery, function(nursery)
        target = nursery
        trio.sleep(2)
      end)
      lowlevel.checkpoint()
      caller_got = H.raises("", target.start, target, function()
        trio.sleep(1)
        error(V)
      end)
    end)
    assert.is_true(rawequal(V, caller_got))
    assert.equal(2, now())
  end)

  trio_it("START-08 that is a group passes as it is", function()
    local V = failure "V"
    local user_group = trio.ExceptionGroup("my group", {V})
    trio.open_nursery(function(nursery)
      assert.is_true(rawequal(user_group, H.raises("", nursery.start, nursery,
        function() error(user_group) end)))
      local own = H.raises("", nursery.start, nursery, function()
        trio.open_nursery(function(inner) inner:start_soon(error, V) end)
      end)
      H.group_of(own, V)
      assert.equal("Exceptions from Trio nursery", own.message)
    end)
  end)

  trio_it("START-26 keeps its cause and its context", function()
    local cause, context = trio.Error("bar"), trio.Error("baz")
    local err = trio.Error("foo", {cause = cause, context = context})
    H.group_of(H.raises("", trio.open_nursery, function(nursery)
      nursery:start(function() error(err) end)
    end), err)
    assert.is_true(rawequal(cause, err.cause))
    assert.is_true(rawequal(context, err.context))
  end)

  trio_it("START-07 is made where the child ends without it", function()
    trio.open_nursery(function(nursery)
      for _, child in ipairs {nop, lowlevel.checkpoint} do
        local err = H.raises("exited without calling.*started", function()
          nursery:start(function() child() end)
        end)
        assert.equal("string", type(err))
        assert.truthy(err:find(THIS), err)
      end
      assert.is_false(nursery.cancel_scope.cancel_called)
    end)
  end)

  trio_it("START-23 of two tasks in the hidden nursery is internal", function()
    local V, K = failure "V", failure "K"
    trio.open_nursery(function(nursery)
      local err = H.raises_class(trio.TrioInternalError, nursery.start, nursery,
        function()
          local hidden = lowlevel.current_task().parent_nursery
          hidden:start_soon(error, V)
          hidden:start_soon(error, K)
        end)
      H.group_set(err.cause, V, K)
      err = H.raises_class(trio.TrioInternalError, nursery.start, nursery,
        function()
          local hidden = lowlevel.current_task().parent_nursery
          hidden:start_soon(error, nil)
          hidden:start_soon(error, nil)
        end)
      H.group_set(err.cause, nil, nil)
    end)
  end)
end)

describe("an error after started", function()
  trio_it("START-22 is the nursery's", function()
    local V = failure "V"
    H.group_of(H.raises("", trio.open_nursery, function(nursery)
      assert.equal("up", nursery:start(function(status)
        status:started("up")
        trio.sleep(1)
        error(V)
      end))
      trio.sleep(100)
    end), V)
    assert.equal(1, now())
  end)

  trio_it("is not the caller's, who has its value", function()
    local V, owner_got = failure "V", nil
    trio.open_nursery(function(outer)
      local target
      outer:start_soon(function()
        owner_got = H.raises("", trio.open_nursery, function(nursery)
          target = nursery
          trio.sleep_forever()
        end)
      end)
      lowlevel.checkpoint()
      assert.equal("v", target:start(function(status)
        status:started("v")
        error(V)
      end))
    end)
    H.group_of(owner_got, V)
  end)
end)

describe("START-28 start adds no group", function()
  -- Every setting of run and nursery: nil stands for "not given".
  local settings = {[1] = true, [2] = false, n = 3}

  local function raised(run_strict, nursery_strict, err, after)
    return H.raises("", H.run, function()
      trio.open_nursery({strict_exception_groups = nursery_strict},
        function(nursery)
          nursery:start(function(status)
            if after then status:started() end
            error(err, 0)
          end)
        end)
    end, {strict_exception_groups = run_strict})
  end

  for i = 1, settings.n do
    for j = 1, settings.n do
      local run_strict, nursery_strict = settings[i], settings[j]
      it(("run %s, nursery %s"):format(run_strict, nursery_strict), function()
        local wrapped = nursery_strict
        if wrapped == nil then wrapped = run_strict ~= false end
        local plain = failure "V"
        local group = trio.ExceptionGroup("my group", {plain})
        for _, err in ipairs {plain, group} do
          for _, after in ipairs {false, true} do
            local got = raised(run_strict, nursery_strict, err, after)
            if wrapped then
              H.group_of(got, err)
            else
              assert.is_true(rawequal(err, got))
            end
          end
        end
      end)
    end
  end
end)
