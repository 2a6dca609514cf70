-- SPDX-License-Identifier: MIT
-- planted.lua: two programs with a bug that few orders of tasks show, one in
-- about twenty-four. First in, first out isn't among them.

local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint

local planted = {}

-- Three tasks hand something on, the last one calls act. How long that takes
-- depends on their order.
local function relay(nursery, act)
  local turn = 1
  for place = 1, 3 do
    nursery:start_soon(function()
      checkpoint()
      while turn ~= place do checkpoint() end
      turn = turn + 1
      if turn > 3 then act() end
    end)
  end
end

--- A lost update: `spend` gives the others a turn between looking at the
--- balance and writing it. Returns the balance; raises if it is wrong.
function planted.lost_update()
  local balance = 100

  local function deposit()
    checkpoint()
    balance = balance + 50
  end

  local function spend()
    local before = balance
    checkpoint()
    balance = before - 30
  end

  trio.open_nursery(function(nursery)
    nursery:start_soon(deposit)
    relay(nursery, spend)
  end)
  if balance ~= 120 then
    error(("the balance is %d, not 120"):format(balance), 0)
  end
  return balance
end

--- A lost wakeup: `consume` gives the others a turn between seeing that there
--- is no item and going to sleep. An item that comes in between wakes nobody.
function planted.lost_wakeup()
  local items, sleepers = {}, trio.lowlevel.ParkingLot()
  local item

  local function consume()
    if #items == 0 then
      checkpoint()
      sleepers:park()
    end
    item = table.remove(items)
  end

  local function produce()
    items[1] = "item"
    sleepers:unpark()
  end

  trio.open_nursery(function(nursery)
    nursery:start_soon(consume)
    relay(nursery, produce)
  end)
  return item
end

return planted
