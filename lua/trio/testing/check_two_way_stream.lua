-- SPDX-License-Identifier: MIT
-- check_two_way_stream.lua: trio.testing.check_two_way_stream and
-- check_half_closeable_stream: do two connected streams keep the rules, each
-- in both directions? See _stream_step.lua for `step`.

local DUPLEX_SIZE = 1 << 20
local CHUNK_MAX = 1 << 14

-- Numbers below 2^32, the same in every run; math.random stays alone.
local function new_random(seed)
  local state = seed
  return function()
    state = state * 6364136223846793005 + 1442695040888963407
    return state >> 32
  end
end

local function random_bytes(size, random)
  local words = {}
  for place = 1, size // 4 do words[place] = string.pack("<I4", random()) end
  return table.concat(words)
end

local function send_in_chunks(stream, data, random)
  local from = 1
  while from <= #data do
    local size = random() % CHUNK_MAX + 1
    stream:send_all(data:sub(from, from + size - 1))
    from = from + size
  end
end

local function receive_in_chunks(step, stream, size, random)
  local chunks, count = {}, 0
  while count < size do
    local chunk = step:receive(stream, random() % CHUNK_MAX + 1)
    if not chunk then
      step:fail("got the end after %d of %d bytes", count, size)
    end
    chunks[#chunks + 1] = chunk
    count = count + #chunk
  end
  return table.concat(chunks)
end

-- The other end first, as an arbitrary maker's streams may differ.
local function flipped(maker)
  if maker == nil then return nil end
  return function()
    local a, b = maker()
    return b, a
  end
end

return function(trio, kit)
  local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

  local two_way = {
    {"methods", function(step, a, b) step:implements("Stream", a, b) end},

    {"both ways at once", function(step, a, b)
      local there = random_bytes(DUPLEX_SIZE, new_random(0))
      local back = there:reverse()
      local function check_arrival(stream, data, seed)
        local got = receive_in_chunks(step, stream, #data, new_random(seed))
        if got ~= data then step:fail("the data changed on its way") end
      end
      step.together(function() send_in_chunks(a, there, new_random(1)) end,
        function() send_in_chunks(b, back, new_random(2)) end,
        function() check_arrival(a, back, 3) end,
        function() check_arrival(b, there, 4) end)
      step.together(function()
        step:expect_end(b)
        b:aclose()
      end, function() a:aclose() end)
    end},
  }

  local half_closeable = {
    {"methods", function(step, a, b)
      step:implements("HalfCloseableStream", a, b)
    end},

    {"send_eof", function(step, a, b)
      local function send_x(from, to)
        step.together(function()
          from:send_all("x")
          step:send_eof(from)
        end, function()
          wait_all_tasks_blocked()
          step:equal("the data", "x", step:receive(to, 10))
          step:expect_end(to)
        end)
      end
      send_x(a, b)
      step:expect(trio.ClosedResourceError, "send_all after send_eof",
        step.send, step, a, "y")
      step:send_eof(a)
      send_x(b, a)
    end},
  }

  local clogged_half_closeable = {
    {"send_all and send_eof", function(step, a)
      step:expect_busy("send_all and send_eof in two tasks",
        function() a:send_all("x") end, function() a:send_eof() end, true)
    end},

    {"wait to send and send_eof", function(step, a)
      step:expect_busy(
        "wait_send_all_might_not_block and send_eof in two tasks",
        function() a:wait_send_all_might_not_block() end,
        function() a:send_eof() end, true)
    end},
  }

  local function check_two_way(suite, maker, clogged_maker)
    kit.check_one_way(suite, maker, clogged_maker)
    kit.check_one_way(suite, flipped(maker), flipped(clogged_maker))
    kit.run_steps(suite, two_way, maker)
  end

  --- check_two_way_stream(maker, clogged_maker or nil): the rules of a one-way
  --- stream in both directions, and data both ways at once.
  function trio.testing.check_two_way_stream(maker, clogged_maker)
    kit.check_stream_makers("check_two_way_stream", maker, clogged_maker)
    check_two_way("check_two_way_stream", maker, clogged_maker)
  end

  --- check_half_closeable_stream(maker, clogged_maker or nil): all of that,
  --- and send_eof.
  function trio.testing.check_half_closeable_stream(maker, clogged_maker)
    local suite = "check_half_closeable_stream"
    kit.check_stream_makers(suite, maker, clogged_maker)
    check_two_way(suite, maker, clogged_maker)
    kit.run_steps(suite, half_closeable, maker)
    kit.run_steps(suite, clogged_half_closeable, clogged_maker)
  end
end
