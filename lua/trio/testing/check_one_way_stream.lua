-- SPDX-License-Identifier: MIT
-- check_one_way_stream.lua: trio.testing.check_one_way_stream: do a sending
-- and a receiving stream keep the rules? See _stream_step.lua for `step`.

local MANY = 10000  -- sends of 100 bytes, until it must be known

local steps = {}

-- The steps for streams where sending waits until somebody receives.
local clogged_steps = {}

return function(trio, kit)
  local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked
  local aclose_forcefully = trio.aclose_forcefully

  local function add(list, name, fn)
    list[#list + 1] = {name, fn}
  end

  local function expect_closed(step, what, ...)
    step:expect(trio.ClosedResourceError, what .. " after aclose", ...)
  end

  -- What is sent while the other side doesn't listen comes to an end.
  local function send_until_broken(step, s)
    local data = ("x"):rep(100)
    step:expect(trio.BrokenResourceError, "send_all to a closed stream",
      function()
        for _ = 1, MANY do step:send(s, data) end
      end)
  end

  add(steps, "methods", function(step, s, r)
    step:implements("SendStream", s)
    step:implements("ReceiveStream", r)
  end)

  add(steps, "data", function(step, s, r)
    step.together(function() step:send(s, "x") end,
      function() step:equal("the data", "x", step:receive(r, 1)) end)
    step.together(function() step:send(s, ""); step:send(s, "y") end,
      function() step:equal("the data", "y", step:receive(r, 1)) end)
    step.together(function() step:send(s, "\0\r\n\xff") end,
      function() step:expect_data(r, "\0\r\n\xff") end)
  end)

  add(steps, "max_bytes", function(step, s, r)
    for _, wrong in ipairs {-1, 0, 1.5, "x"} do
      step:expect_refused(("receive_some(%s)"):format(wrong), r.receive_some,
        r, wrong)
    end
    step.together(function() step:send(s, "x") end,
      function() step:equal("the data", "x", step:receive(r)) end)
  end)

  add(steps, "two receivers", function(step, _, r)
    local function receive() step:receive(r, 1) end
    step:expect_busy("receive_some in two tasks", receive, receive)
  end)

  -- (A stream without a buffer may wait for a receiver here.)
  add(steps, "wait to send", function(step, s, r)
    trio.open_nursery(function(nursery)
      nursery:start_soon(step.receive, step, r, 1)
      step:wait_send(s)
      nursery.cancel_scope:cancel()
    end)
  end)

  add(steps, "the receiver closes", function(step, s, r)
    step.together(function() send_until_broken(step, s) end,
      function() step:close(r) end)
    step:expect(trio.BrokenResourceError, "send_all to a broken stream",
      step.send, step, s, ("x"):rep(100))
    expect_closed(step, "receive_some", step.receive, step, r, 4096)
    step:close(r)
    step:close(r)
    step:close(s)
    expect_closed(step, "send_all", step.send, step, s, ("x"):rep(100))
    expect_closed(step, "send_all without data", step.send, step, s, "")
    expect_closed(step, "wait_send_all_might_not_block", step.wait_send,
      step, s)
    step:close(s)
    step:close(s)
  end)

  add(steps, "the sender closes", function(step, s, r)
    step.together(function()
      step:send(s, "y")
      step:close(s)
    end, function()
      wait_all_tasks_blocked()
      step:equal("the data", "y", step:receive(r, 1))
      step:expect_end(r)
      step:close(r)
    end)
  end)

  add(steps, "the receiver closes by force", function(step, s, r)
    aclose_forcefully(r)
    send_until_broken(step, s)
    expect_closed(step, "receive_some", step.receive, step, r, 4096)
  end)

  add(steps, "the sender closes by force", function(step, s, r)
    aclose_forcefully(s)
    expect_closed(step, "send_all", step.send, step, s, "123")
    local ok, data = step:allow(trio.BrokenResourceError, step.receive, step,
      r, 1)
    if ok then step:equal("receive_some at the end", nil, data) end
  end)

  add(steps, "cancelled aclose", function(step, s, r)
    for _, stream in ipairs {r, s} do
      trio.CancelScope():run(function(scope)
        scope:cancel()
        stream:aclose()
      end)
    end
    expect_closed(step, "send_all", step.send, step, s, "123")
    expect_closed(step, "receive_some", step.receive, step, r, 4096)
  end)

  add(steps, "aclose after a cancelled operation", function(step, s, r)
    trio.CancelScope():run(function(scope)
      scope:cancel()
      step:expect(trio.Cancelled, "cancelled send_all", step.send, step, s,
        "x")
      step:expect(trio.Cancelled, "cancelled receive_some", step.receive,
        step, r, 1)
    end)
    step.together(function() step:close(s) end, function() step:close(r) end)
  end)

  -- fn(), while another task closes the stream.
  local function expect_closed_meanwhile(step, stream, what, fn)
    step.together(function()
      step:expect(trio.ClosedResourceError, what .. " during aclose", fn)
    end, function()
      wait_all_tasks_blocked()
      aclose_forcefully(stream)
    end)
  end

  add(steps, "aclose during receive_some", function(step, _, r)
    expect_closed_meanwhile(step, r, "receive_some", function()
      step:receive(r, 10)
    end)
  end)

  add(clogged_steps, "wait to send until somebody receives",
    function(step, s, r)
      local record = {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          record[#record + 1] = "waiting"
          step:wait_send(s)
          record[#record + 1] = "woken"
          nursery.cancel_scope:cancel()
        end)
        wait_all_tasks_blocked()
        record[#record + 1] = "receiving"
        while step:receive(r, 16384) do end
      end)
      step:equal("order of events", "waiting receiving woken",
        table.concat(record, " "))
    end)

  add(clogged_steps, "two senders", function(step, s)
    local function wait() s:wait_send_all_might_not_block() end
    step:expect_busy("wait_send_all_might_not_block in two tasks", wait, wait)
  end)

  -- A cancelled send_all may have broken the stream: hence fresh ones.
  add(clogged_steps, "two senders", function(step, s)
    step:expect_busy("wait_send_all_might_not_block and send_all in two tasks",
      function() s:wait_send_all_might_not_block() end,
      function() s:send_all("123") end)
  end)

  add(clogged_steps, "two senders", function(step, s)
    local function send() s:send_all("123") end
    step:expect_busy("send_all in two tasks", send, send)
  end)

  add(clogged_steps, "the receiver closes during a wait to send",
    function(step, s, r)
      step.together(function()
        step:allow(trio.BrokenResourceError, step.wait_send, step, s)
      end, function()
        wait_all_tasks_blocked()
        aclose_forcefully(r)
      end)
    end)

  add(clogged_steps, "wait to send to a closed receiver", function(step, s, r)
    aclose_forcefully(r)
    step:allow(trio.BrokenResourceError, step.wait_send, step, s)
  end)

  add(clogged_steps, "aclose during send_all", function(step, s)
    expect_closed_meanwhile(step, s, "send_all", function()
      s:send_all("xyzzy")
    end)
  end)

  add(clogged_steps, "aclose during a wait to send", function(step, s)
    expect_closed_meanwhile(step, s, "wait_send_all_might_not_block",
      function() s:wait_send_all_might_not_block() end)
  end)

  function kit.check_one_way(suite, maker, clogged_maker)
    kit.run_steps(suite, steps, maker)
    kit.run_steps(suite, clogged_steps, clogged_maker)
  end

  --- check_one_way_stream(maker, clogged_maker or nil): maker() returns a
  --- sending stream and the receiving one at its other end. Those of
  --- clogged_maker are such that sending waits until somebody receives.
  function trio.testing.check_one_way_stream(maker, clogged_maker)
    kit.check_stream_makers("check_one_way_stream", maker, clogged_maker)
    kit.check_one_way("check_one_way_stream", maker, clogged_maker)
  end
end
