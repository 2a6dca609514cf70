-- SPDX-License-Identifier: MIT
-- _oserror.lua: what errors of the operating system mean, for the library's
-- own Lua files. Errors of C have a `code`; a program's own may have the
-- number only.

return function(trio, kit)
  local name_of_errno = trio.socket._errno_name

  --- The code of an OSError ("EMFILE"); nil for any other value.
  function kit.os_code(err)
    if not trio.isinstance(err, trio.OSError) then return nil end
    if type(err.code) == "string" then return err.code end
    if math.type(err.errno) ~= "integer" then return nil end
    return name_of_errno(err.errno)
  end

  --- Does the error say that somebody has closed the descriptor?
  function kit.is_closed_code(code)
    return code == "EBADF" or code == "ENOTSOCK"
  end
end
