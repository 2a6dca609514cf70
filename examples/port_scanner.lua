-- SPDX-License-Identifier: MIT
-- A port scanner: many attempts, some at a time, each with a time limit.

local trio = require "trio"

-- Does anybody listen there?
local function is_open(host, port)
  local scope, opened = trio.move_on_after(0.5, function()
    local ok, stream = trio.pcall(trio.open_tcp_stream, host, port)
    if ok then stream:aclose() end
    return ok
  end)
  return not scope.cancelled_caught and opened
end

local function scan(host, ports)
  local limiter = trio.CapacityLimiter(50)
  local open = {}
  trio.open_nursery(function(nursery)
    for _, port in ipairs(ports) do
      nursery:start_soon(function()
        limiter:with(function() open[port] = is_open(host, port) end)
      end)
    end
  end)
  return open
end

trio.run(function()
  -- Two services to be found, and a hundred ports around them.
  local services, ports = {}, {}
  for _, name in ipairs {"mail", "web"} do
    local listener = trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
    local port = listener.socket:getsockname()[2]
    services[name] = {listener = listener, port = port}
    for i = math.max(1, port - 25), math.min(65535, port + 25) do
      table.insert(ports, i)
    end
  end

  local open = scan("127.0.0.1", ports)
  for _, name in ipairs {"mail", "web"} do
    print(name, open[services[name].port] and "open" or "closed")
    services[name].listener:aclose()
  end
  open = scan("127.0.0.1", {services.web.port})
  print("web now", open[services.web.port] and "open" or "closed")
end)

--[[ expected output
mail	open
web	open
web now	closed
]]
