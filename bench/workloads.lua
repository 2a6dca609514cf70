-- SPDX-License-Identifier: MIT
-- The lines of `make bench`: for each workload how every system is started,
-- and what is read from what it prints. run.lua runs them.
--
-- A workload: `name`; `lines`; `waited`: which of the numbers is the share of
-- time waited, if one is; start(workload, system, scale): the command, or nil
-- where the system can't do this. A line: `title`; `unit`; `field`: which of
-- the numbers (1 if absent); `target` of the ratio, or `limit` of our own
-- number, or `no_worse_than` that peer; `less`: the ratio is ours to the floor,
-- and small is good; `cost`: the number is a cost, though the ratio is how much
-- faster we are.
local measure = require "measure"

local bin, here, ours = measure.bin, measure.here, measure.ours
local lua = "lua5.4"

local list = {}

local peers = {
  {name = "go", title = "Go", package = "golang-go"},
  {name = "node", title = "Node.js", package = "nodejs"},
  {name = "luv", title = "luv", package = "lua-luv"},
  {name = "cqueues", title = "cqueues", package = "lua-cqueues"},
  {name = "trio", title = "Trio", package = "python3-trio"},
}

-- ---- tasks

local function peer_program(system, kind)
  local path = here .. "/peers/" .. system.name .. "/" .. kind
  if system.name == "go" then
    return {bin .. "/peer_go", kind == "server" and "server" or nil}
  elseif system.name == "node" then
    return {system.program, path .. ".js"}
  elseif system.name == "trio" then
    return {system.program, path .. ".py"}
  end
  return {system.program, path .. ".lua"}
end

local function tasks_program(system, workload)
  if system.name == "floor" then return {bin .. "/" .. workload.floor} end
  if system.name ~= "ours" then return peer_program(system, "tasks") end
  if not workload.plain then return {ours, here .. "/tasks.lua"} end
  -- The module in an interpreter that knows nothing of it.
  return {"env", "LUA_CPATH=" .. bin .. "/../?.so;;", lua, here .. "/tasks.lua"}
end

local function start_tasks(workload, system, scale)
  local work = workload.work[system.name]
  if not work or scale < 1 and workload.slow == system.name then return nil end
  local words = tasks_program(system, workload)
  local rounds = math.max(1, math.floor(work * scale / workload.tasks))
  table.move({workload.as or workload.name, workload.tasks, rounds}, 1, 3,
    #words + 1, words)
  return measure.alone(words)
end

-- `work`: operations, for each system that can do it; `slow`: one that takes
-- seconds, and is left out of quick runs.
local function tasks(workload)
  local line = workload.line
  line.title = line.title or workload.name
  line.unit = line.unit or "ns"
  line.cost = not line.less
  workload.lines = {line}
  workload.floor = workload.floor or "floor"
  workload.waited = 2
  workload.start = start_tasks
  list[#list + 1] = workload
end

local function work(floor, go, node, luv, cqueues, trio)
  return {floor = floor, ours = floor, go = go, node = node, luv = luv,
    cqueues = cqueues, trio = trio}
end

tasks {name = "checkpoint", tasks = 2, line = {target = 0.75},
  work = work(4e6, 4e6, 1e5, 3e5, 3e5, 5e4)}
tasks {name = "spawn", tasks = 1000, plain = true,
  line = {title = "spawn, no reuse", target = 0.75},
  work = work(5e5, 6e5, 5e5, 2e5, 2e5, 2e4)}
tasks {name = "spawn_reuse", as = "spawn", tasks = 1000,
  line = {title = "spawn, reuse", target = 2.5},
  work = {floor = 5e5, ours = 1e6}}
tasks {name = "sleep", tasks = 100000, slow = "trio",
  line = {title = "sleep", unit = "s", less = true, target = 1.25},
  work = work(1, 1, 1, 1, 1, 1)}
tasks {name = "sleep_mem", tasks = 100000, slow = "trio",
  line = {title = "sleep, memory of one", unit = "B", less = true,
    limit = 1500},
  work = work(1, 1, 1, 1, 1, 1)}
tasks {name = "channel0", tasks = 1, floor = "floor_channel",
  line = {target = 0.75}, work = work(1e6, 6e5, 2e5, 1e5, 1e5, 1e4)}
tasks {name = "channel1024", tasks = 1, floor = "floor_channel",
  line = {target = 0.75}, work = work(1e6, 4e6, 2e5, 5e5, 6e5, 1e4)}
tasks {name = "fan", tasks = 1000, floor = "floor_channel",
  line = {target = 0.75}, work = work(1e6, 5e5, 2e5, 2e5, 1e5, 1e4)}
tasks {name = "cancel_wide", tasks = 100000, slow = "trio",
  line = {target = 0.5}, work = {floor = 1, ours = 1, go = 1, luv = 1,
    cqueues = 1, trio = 1}}
tasks {name = "cancel_deep", tasks = 1000, line = {target = 0.7},
  work = {floor = 1e6, ours = 1e6, go = 1e5, trio = 1e4}}
tasks {name = "timeout", tasks = 1, line = {target = 0.7},
  work = work(5e5, 2e5, 3e4, 1e5, nil, 1e4)}

-- ---- the network

local function start_net(workload, system, scale)
  local command
  if system.name == "floor" then
    command = {bin .. "/floor_server"}
  elseif system.name == "ours" then
    command = {ours, here .. "/server.lua"}
  elseif not workload.own then
    command = peer_program(system, "server")
  end
  return command and measure.command {bin .. "/net_load", workload.as,
    workload.size, workload.connections,
    scale < 1 and 0.15 or 0.3, table.unpack(command)}
end

local function net(workload)
  workload.waited = 5
  workload.start = start_net
  list[#list + 1] = workload
end

net {name = "echo64", as = "echo", size = 64, connections = 50, lines = {
  {title = "echo 64 B", unit = "/s", target = 0.92},
  {title = "  its p99", unit = "us", field = 3, less = true,
    no_worse_than = "luv"}}}
net {name = "echo16k", as = "echo", size = 16384, connections = 50, lines = {
  {title = "echo 16 KiB", unit = "/s", target = 0.95}}}
net {name = "connect", as = "connect", size = 64, connections = 50, lines = {
  {title = "connect", unit = "us", field = 4, less = true, target = 1.08}}}
net {name = "pump", as = "send", size = 1, connections = 1, lines = {
  {title = "pump", unit = "MB/s", target = 1.2}}}

-- ---- the start

local function start_startup(_, system, scale)
  local commands = {
    floor = {lua, "-e", ""},
    ours = {ours, "-e", "require 'trio'"},
    go = {bin .. "/peer_go", "startup", "1", "1"},
    node = {system.program, "-e", ""},
    luv = {lua, "-e", "require 'luv'"},
    cqueues = {lua, "-e", "require 'cqueues'"},
    trio = {system.program, "-c", "import trio"},
  }
  local slow = system.name == "node" or system.name == "trio"
  return measure.alone(commands[system.name],
    (slow and 4 or 40) * (scale < 1 and 1 or 2))
end

list[#list + 1] = {name = "startup", start = start_startup, waited = 2,
  lines = {
    {title = "startup", unit = "us", less = true, target = 1.8},
    {title = "startup, memory", unit = "KB", field = 3, less = true,
      limit = 4096},
  }}

-- ---- what has a floor of its own, and no peers

tasks {name = "lock", tasks = 1, floor = "floor_channel",
  line = {title = "lock and unlock"}, work = {floor = 1e6, ours = 1e6}}
net {name = "receive", as = "receive", size = 1, connections = 1, own = true,
  lines = {{title = "pump, receiving", unit = "MB/s"}}}

local function start_tls(workload, system, scale)
  local program = system.name == "floor" and {bin .. "/floor_tls"}
    or system.name == "ours" and {ours, here .. "/tls_server.lua"}
  if not program then return nil end
  program[#program + 1] = measure.certificate()
  return measure.command {bin .. "/tls_load", workload.as,
    scale < 1 and 0.3 or 0.6, table.unpack(program)}
end

local function tls(workload)
  workload.waited = 3
  workload.start = start_tls
  list[#list + 1] = workload
end

tls {name = "tls_handshake", as = "handshake", lines = {
  {title = "TLS handshake", unit = "us", field = 2, less = true,
    target = 1.18},
  {title = "  one after the other", unit = "/s", target = 0.85}}}
tls {name = "tls_send", as = "send", lines = {
  {title = "TLS, sending", unit = "MB/s", target = 0.85}}}
tls {name = "tls_receive", as = "receive", lines = {
  {title = "TLS, receiving", unit = "MB/s", target = 0.85}}}

-- All processors: there are threads and children. That they wait for each
-- other is no disturbance.
local function start_system(workload, system, scale)
  local program = system.name == "floor" and {bin .. "/floor_system"}
    or system.name == "ours" and {ours, here .. "/system.lua"}
  if not program then return nil end
  program[#program + 1] = system.name == "floor" and workload.floor
    or workload.name
  program[#program + 1] = workload.count
    and math.floor(workload.count * scale) or measure.data_file()
  return measure.alone(program, -1)
end

local function system(workload)
  workload.start = start_system
  list[#list + 1] = workload
end

system {name = "process", floor = "process", count = 400, lines = {
  {title = "process, start to end", unit = "us", less = true}}}
system {name = "thread", floor = "thread", count = 10000, lines = {
  {title = "thread, there and back", unit = "us", less = true}}}
system {name = "file", floor = "file", lines = {
  {title = "file, 64-KiB pieces", unit = "MB/s"}}}
system {name = "file_io", floor = "file", lines = {
  {title = "  with Lua's io", unit = "MB/s"}}}

return {list = list, peers = peers}
