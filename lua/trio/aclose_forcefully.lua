-- SPDX-License-Identifier: MIT
-- aclose_forcefully.lua: trio.aclose_forcefully: close without waiting for
-- anybody. It relies on what every aclose promises: under a cancellation it
-- closes nevertheless, only less politely.

return function(trio, kit)
  local check = kit.check

  --- aclose_forcefully(resource): call resource:aclose() in a cancelled scope.
  function trio.aclose_forcefully(resource)
    if not trio.abc.implements(resource, "AsyncResource") then
      check.refuse(1, "aclose_forcefully", check.expected(
        "something with a method aclose", resource))
    end
    check.task("trio.aclose_forcefully")
    trio.CancelScope():run(function(scope)
      scope:cancel("trio.aclose_forcefully")
      resource:aclose()
    end)
  end
end
