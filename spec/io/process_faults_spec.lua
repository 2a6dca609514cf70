-- SPDX-License-Identifier: MIT
-- process_faults_spec.lua: processes in numbers, and processes that misbehave.
-- Nothing of them may be left: no child, no descriptor, no memory, no task.

local H = require "spec.support.helper"
local system = require "spec.support.system"
local trio = require "trio"

local real_it = system.real_it

-- Checking runs are slow: they get fewer processes.
local is_plain = not os.getenv("TRIO_WRAPPER")
  and not H.interpreter:find("build/%w+/")
local MANY = is_plain and 1000 or 100

-- fn(i) for i = 1..count, at most `limit` at once.
local function in_parallel(count, limit, fn)
  local limiter = trio.CapacityLimiter(limit)
  trio.open_nursery(function(nursery)
    for i = 1, count do
      nursery:start_soon(function()
        limiter:with(function() fn(i) end)
      end)
    end
  end)
end

describe("many processes", function()
  system.guard()

  real_it("end, one after the other #slow", function()
    for _ = 1, MANY do
      assert.equal(0, trio.run_process({"true"}).returncode)
    end
  end)

  real_it("give what they print, at the same time #slow", function()
    local seen = 0
    in_parallel(MANY, 20, function(i)
      local result = trio.run_process({"printf", "%d", i},
        {capture_stdout = true, capture_stderr = true})
      assert.equal(tostring(i), result.stdout)
      seen = seen + 1
    end)
    assert.equal(MANY, seen)
  end)

  real_it("die at once while they are fed #slow", function()
    local data = ("x"):rep(200000)
    in_parallel(MANY // 10, 10, function()
      local result = trio.run_process({"sh", "-c", "kill -KILL $$"},
        {input = data, capture_stdout = true, check = false})
      assert.equal(-9, result.returncode)
    end)
  end)

  real_it("are cancelled together #slow", function()
    local scope = trio.move_on_after(0.3, function()
      in_parallel(50, 50, function()
        trio.run_process({"sleep", "100"}, {input = ("x"):rep(100000),
          capture_stdout = true, capture_stderr = true})
      end)
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  real_it("are cancelled at any moment #slow", function()
    for i = 1, MANY // 10 do
      trio.move_on_after(i / MANY / 5, function()
        trio.run_process({"cat"}, {input = "x", capture_stdout = true})
      end)
    end
  end)

  real_it("that can't be started leave nothing", function()
    for _ = 1, MANY // 10 do
      H.raises_class(trio.OSError, trio.run_process, {"/no/such/program"},
        {input = "x", capture_stdout = true, capture_stderr = true})
    end
  end)
end)

describe("a process", function()
  system.guard()

  real_it("may fill its outputs while it isn't reading", function()
    local size = 1 << 20
    local result = trio.run_process(
      "printf '%01048576d' 0 >&2; printf '%01048576d' 0; cat >/dev/null",
      {shell = true, input = ("x"):rep(size), capture_stdout = true,
        capture_stderr = true})
    assert.equal(size, #result.stdout)
    assert.equal(size, #result.stderr)
  end)

  real_it("that ignores SIGTERM is killed by its deliver_cancel", function()
    local process
    trio.open_nursery(function(nursery)
      process = nursery:start(trio.run_process,
        "trap '' TERM; echo ready; while :; do sleep 0.01; done",
        {shell = true, stdout = "pipe", deliver_cancel = function(p)
          p:terminate()
          trio.sleep(0.05)
          assert.is_nil(p.returncode)
          p:kill()
        end})
      assert.equal("ready", system.line_of(process))
      nursery.cancel_scope:cancel()
    end)
    process.stdout:close()
    assert.equal(-9, process.returncode)
  end)

  for _, stubborn in ipairs {1, 20} do
    local clock = trio.testing.MockClock()
    H.trio_it("PROC-08 kills " .. stubborn .. " that ignore SIGTERM, in "
      .. "virtual time", function()
        local processes = {}
        trio.open_nursery(function(nursery)
          for i = 1, stubborn do
            processes[i] = nursery:start(trio.run_process,
              "trap '' TERM; echo ready; while :; do sleep 1; done",
              {shell = true, stdout = "pipe"})
            assert.equal("ready", system.line_of(processes[i]))
          end
          clock.autojump_threshold = 0.02
          nursery.cancel_scope:cancel()
        end)
        clock.autojump_threshold = math.huge
        for _, process in ipairs(processes) do
          process.stdout:close()
          assert.equal(-9, process.returncode)
        end
        assert.is_true(trio.current_time() >= 5)
      end, {clock = clock})
  end

  real_it("that stops and goes on is not taken for dead", function()
    local process = trio.lowlevel.open_process {"sleep", "100"}
    process:send_signal("SIGSTOP")
    trio.sleep(0.02)
    assert.is_nil(process.returncode)
    process:send_signal("SIGCONT")
    trio.sleep(0.02)
    assert.is_nil(process:poll())
    process:kill()
    assert.equal(-9, process:wait())
  end)

  real_it("may be closed upon by who reads it", function()
    local process = trio.lowlevel.open_process(
      {"sh", "-c", "while printf x; do :; done 2>/dev/null"},
      {stdout = "pipe"})
    assert.is_truthy(process.stdout:receive_some())
    process.stdout:close()
    assert.is_truthy(process:wait() ~= 0)
  end)

  real_it("gets arguments as they are", function()
    local odd = {"", " ", "a b", "$HOME", "'\"", "\n", "\xff\xfe", "*", "--"}
    local result = trio.run_process(
      {"printf", "<%s>", table.unpack(odd)}, {capture_stdout = true})
    assert.equal("<" .. table.concat(odd, "><") .. ">", result.stdout)
    local long = ("x"):rep(100000)
    assert.equal(long, trio.run_process({"printf", "%s", long},
      {capture_stdout = true}).stdout)
    if not is_plain then return end  -- valgrind dies of what comes now
    local err = H.raises_class(trio.OSError, trio.run_process,
      {"printf", ("x"):rep(1 << 22)})
    assert.equal("E2BIG", err.code)
  end)
end)
