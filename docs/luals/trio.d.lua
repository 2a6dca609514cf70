---@meta trio
-- SPDX-License-Identifier: MIT
-- Definitions for the Lua language server; made by `make luals`.

---@class trio.ErrorClass
---@overload fun(message: string, fields?: table): trio.Error
local Class = {}

---@class trio.Error
---@field cause any
---@field context any
---@field message string
---@field traceback string

---@class trio.DTLSChannel
---@field context any
---@field endpoint any
---@field peer_address any
local channel = {}

---@class trio.testing.MockClock
---@field autojump_threshold any
---@field rate any
local clock = {}

---@class trio.Condition
local condition = {}

---@class trio.ssl.SSLContext
---@field check_hostname any
---@field keylog_filename any
---@field maximum_version any
---@field minimum_version any
---@field num_tickets any
---@field protocol any
---@field sni_callback any
---@field verify_mode any
local context = {}

---@class trio.DTLSEndpoint
---@field incoming_packets_buffer any
---@field socket any
local endpoint = {}

---@class trio.Event
local event = {}

---@class trio.File
---@field closed boolean
---@field mode string
---@field path string
local file = {}

---@class trio.ExceptionGroup
local group = {}

---@class trio.CapacityLimiter
---@field available_tokens number
---@field borrowed_tokens integer
---@field total_tokens number
local limiter = {}

---@class trio.Listener
---@field socket any
---@field transport_listener any
local listener = {}

---@class trio.Lock
local lock = {}

---@class trio.lowlevel.ParkingLot
---@field broken_by any
local lot = {}

---@class trio.Nursery
---@field cancel_scope trio.CancelScope
---@field child_tasks trio.lowlevel.Task[]
---@field lua any
---@field parent_task trio.lowlevel.Task
local nursery = {}

---@class trio.Path
---@field anchor any
---@field name string
---@field parent any
---@field parents any
---@field parts any
---@field root any
---@field stem string
---@field suffix string
---@field suffixes any
local path = {}

---@class trio.Process
---@field args any
---@field pid integer
---@field returncode integer?
---@field stderr any
---@field stdin any
---@field stdio any
---@field stdout any
local process = {}

---@class trio.lowlevel.UnboundedQueue
local queue = {}

---@class trio.MemoryReceiveChannel
local receive = {}

---@class trio.CancelScope
---@field cancel_called boolean
---@field cancelled_caught boolean
---@field deadline number
---@field is_relative any
---@field relative_deadline number
---@field shield boolean
local scope = {}

---@class trio.Semaphore
---@field max_value integer
---@field value integer
local semaphore = {}

---@class trio.MemorySendChannel
local send = {}

---@class trio.ssl.SSLSession
---@field has_ticket any
---@field id any
---@field is_resumable any
---@field ticket_lifetime_hint any
---@field time any
---@field timeout any
local session = {}

---@class trio.Socket
---@field did_shutdown_SHUT_WR any
---@field family any
---@field proto any
---@field type any
local socket = {}

---@class trio.Stream
---@field buffered any
---@field context any
---@field server_hostname any
---@field server_side any
---@field session any
---@field session_reused any
---@field socket any
---@field stream any
---@field transport_stream any
local stream = {}

---@class trio.lowlevel.Task
---@field child_nurseries trio.Nursery[]
---@field coro any
---@field custom_sleep_data any
---@field eventual_parent_nursery any
---@field name string
---@field parent_nursery trio.Nursery?
local task = {}

---@class trio.TaskStatus
local task_status = {}

---@class trio.TrioToken
---@field previous_value any
---@field redeemed boolean
local token = {}

---@class trio.ContextVar
local var = {}

---@class trio.WrappedFile
---@field wrapped any
local wrapper = {}

local trio = {}

---@type trio.ErrorClass
trio.BrokenResourceError = nil

---@type trio.ErrorClass
trio.BusyResourceError = nil

---@type trio.ErrorClass
trio.CalledProcessError = nil

---@type trio.ErrorClass
trio.Cancelled = nil

---@type trio.ErrorClass
trio.ClosedResourceError = nil

---@type trio.ErrorClass
trio.DeadlockError = nil

---@type trio.ErrorClass
trio.DelimiterNotFound = nil

---@type trio.ErrorClass
trio.EndOfChannel = nil

---@type trio.ErrorClass
trio.Error = nil

---@type trio.ErrorClass
trio.ExceptionGroup = nil

---@type trio.ErrorClass
trio.KeyboardInterrupt = nil

---@type trio.ErrorClass
trio.NeedHandshakeError = nil

---@type trio.ErrorClass
trio.OSError = nil

---@type trio.ErrorClass
trio.RunFinishedError = nil

---@type trio.ErrorClass
trio.SSLError = nil

---@type any
trio.TASK_STATUS_IGNORED = nil

---@type trio.ErrorClass
trio.TooSlowError = nil

---@type trio.ErrorClass
trio.TrioInternalError = nil

---@type trio.ErrorClass
trio.WouldBlock = nil

trio.abc = {}

---@type any
trio.abc.AsyncResource = nil

---@type any
trio.abc.Channel = nil

---@type any
trio.abc.Clock = nil

---@type any
trio.abc.HalfCloseableStream = nil

---@type any
trio.abc.HostnameResolver = nil

---@type any
trio.abc.Instrument = nil

---@type any
trio.abc.Listener = nil

---@type any
trio.abc.ReceiveChannel = nil

---@type any
trio.abc.ReceiveStream = nil

---@type any
trio.abc.SendChannel = nil

---@type any
trio.abc.SendStream = nil

---@type any
trio.abc.SocketFactory = nil

---@type any
trio.abc.Stream = nil

trio.coroutine = {}

trio.from_thread = {}

trio.lowlevel = {}

trio.lowlevel.Abort = {}

---@type any
trio.lowlevel.Abort.FAILED = nil

---@type any
trio.lowlevel.Abort.SUCCEEDED = nil

trio.socket = {}

---@type integer
trio.socket.AF_INET = nil

---@type integer
trio.socket.AF_INET6 = nil

---@type integer
trio.socket.AF_UNIX = nil

---@type integer
trio.socket.AF_UNSPEC = nil

---@type integer
trio.socket.AI_ADDRCONFIG = nil

---@type integer
trio.socket.AI_ALL = nil

---@type integer
trio.socket.AI_CANONNAME = nil

---@type integer
trio.socket.AI_NUMERICHOST = nil

---@type integer
trio.socket.AI_NUMERICSERV = nil

---@type integer
trio.socket.AI_PASSIVE = nil

---@type integer
trio.socket.AI_V4MAPPED = nil

---@type integer
trio.socket.EAI_ADDRFAMILY = nil

---@type integer
trio.socket.EAI_AGAIN = nil

---@type integer
trio.socket.EAI_BADFLAGS = nil

---@type integer
trio.socket.EAI_FAIL = nil

---@type integer
trio.socket.EAI_FAMILY = nil

---@type integer
trio.socket.EAI_MEMORY = nil

---@type integer
trio.socket.EAI_NODATA = nil

---@type integer
trio.socket.EAI_NONAME = nil

---@type integer
trio.socket.EAI_SERVICE = nil

---@type integer
trio.socket.EAI_SOCKTYPE = nil

---@type integer
trio.socket.EAI_SYSTEM = nil

---@type integer
trio.socket.IPPROTO_ICMP = nil

---@type integer
trio.socket.IPPROTO_ICMPV6 = nil

---@type integer
trio.socket.IPPROTO_IP = nil

---@type integer
trio.socket.IPPROTO_IPV6 = nil

---@type integer
trio.socket.IPPROTO_TCP = nil

---@type integer
trio.socket.IPPROTO_UDP = nil

---@type integer
trio.socket.IPV6_JOIN_GROUP = nil

---@type integer
trio.socket.IPV6_LEAVE_GROUP = nil

---@type integer
trio.socket.IPV6_MTU = nil

---@type integer
trio.socket.IPV6_MULTICAST_HOPS = nil

---@type integer
trio.socket.IPV6_MULTICAST_IF = nil

---@type integer
trio.socket.IPV6_MULTICAST_LOOP = nil

---@type integer
trio.socket.IPV6_UNICAST_HOPS = nil

---@type integer
trio.socket.IPV6_V6ONLY = nil

---@type integer
trio.socket.IP_ADD_MEMBERSHIP = nil

---@type integer
trio.socket.IP_BIND_ADDRESS_NO_PORT = nil

---@type integer
trio.socket.IP_DROP_MEMBERSHIP = nil

---@type integer
trio.socket.IP_MTU = nil

---@type integer
trio.socket.IP_MTU_DISCOVER = nil

---@type integer
trio.socket.IP_MULTICAST_IF = nil

---@type integer
trio.socket.IP_MULTICAST_LOOP = nil

---@type integer
trio.socket.IP_MULTICAST_TTL = nil

---@type integer
trio.socket.IP_PMTUDISC_DO = nil

---@type integer
trio.socket.IP_TOS = nil

---@type integer
trio.socket.IP_TTL = nil

---@type integer
trio.socket.MSG_CTRUNC = nil

---@type integer
trio.socket.MSG_DONTROUTE = nil

---@type integer
trio.socket.MSG_DONTWAIT = nil

---@type integer
trio.socket.MSG_EOR = nil

---@type integer
trio.socket.MSG_MORE = nil

---@type integer
trio.socket.MSG_NOSIGNAL = nil

---@type integer
trio.socket.MSG_OOB = nil

---@type integer
trio.socket.MSG_PEEK = nil

---@type integer
trio.socket.MSG_TRUNC = nil

---@type integer
trio.socket.MSG_WAITALL = nil

---@type integer
trio.socket.NI_DGRAM = nil

---@type integer
trio.socket.NI_NAMEREQD = nil

---@type integer
trio.socket.NI_NOFQDN = nil

---@type integer
trio.socket.NI_NUMERICHOST = nil

---@type integer
trio.socket.NI_NUMERICSERV = nil

---@type integer
trio.socket.SCM_RIGHTS = nil

---@type integer
trio.socket.SHUT_RD = nil

---@type integer
trio.socket.SHUT_RDWR = nil

---@type integer
trio.socket.SHUT_WR = nil

---@type integer
trio.socket.SOCK_DGRAM = nil

---@type integer
trio.socket.SOCK_RAW = nil

---@type integer
trio.socket.SOCK_SEQPACKET = nil

---@type integer
trio.socket.SOCK_STREAM = nil

---@type integer
trio.socket.SOL_SOCKET = nil

---@type integer
trio.socket.SOMAXCONN = nil

---@type integer
trio.socket.SO_ACCEPTCONN = nil

---@type integer
trio.socket.SO_BINDTODEVICE = nil

---@type integer
trio.socket.SO_BROADCAST = nil

---@type integer
trio.socket.SO_DOMAIN = nil

---@type integer
trio.socket.SO_DONTROUTE = nil

---@type integer
trio.socket.SO_ERROR = nil

---@type integer
trio.socket.SO_KEEPALIVE = nil

---@type integer
trio.socket.SO_LINGER = nil

---@type integer
trio.socket.SO_MARK = nil

---@type integer
trio.socket.SO_OOBINLINE = nil

---@type integer
trio.socket.SO_PEERCRED = nil

---@type integer
trio.socket.SO_PRIORITY = nil

---@type integer
trio.socket.SO_PROTOCOL = nil

---@type integer
trio.socket.SO_RCVBUF = nil

---@type integer
trio.socket.SO_RCVLOWAT = nil

---@type integer
trio.socket.SO_RCVTIMEO = nil

---@type integer
trio.socket.SO_REUSEADDR = nil

---@type integer
trio.socket.SO_REUSEPORT = nil

---@type integer
trio.socket.SO_SNDBUF = nil

---@type integer
trio.socket.SO_SNDTIMEO = nil

---@type integer
trio.socket.SO_TYPE = nil

---@type integer
trio.socket.TCP_CORK = nil

---@type integer
trio.socket.TCP_DEFER_ACCEPT = nil

---@type integer
trio.socket.TCP_FASTOPEN = nil

---@type integer
trio.socket.TCP_INFO = nil

---@type integer
trio.socket.TCP_KEEPCNT = nil

---@type integer
trio.socket.TCP_KEEPIDLE = nil

---@type integer
trio.socket.TCP_KEEPINTVL = nil

---@type integer
trio.socket.TCP_MAXSEG = nil

---@type integer
trio.socket.TCP_NODELAY = nil

---@type integer
trio.socket.TCP_NOTSENT_LOWAT = nil

---@type integer
trio.socket.TCP_QUICKACK = nil

---@type integer
trio.socket.TCP_USER_TIMEOUT = nil

trio.ssl = {}

---@type string
trio.ssl.CERT_NONE = nil

---@type string
trio.ssl.CERT_OPTIONAL = nil

---@type string
trio.ssl.CERT_REQUIRED = nil

trio.ssl.Purpose = {}

---@type string
trio.ssl.Purpose.CLIENT_AUTH = nil

---@type string
trio.ssl.Purpose.SERVER_AUTH = nil

trio.ssl.TLSVersion = {}

---@type string
trio.ssl.TLSVersion.DTLSv1 = nil

---@type string
trio.ssl.TLSVersion.DTLSv1_2 = nil

---@type string
trio.ssl.TLSVersion.TLSv1 = nil

---@type string
trio.ssl.TLSVersion.TLSv1_1 = nil

---@type string
trio.ssl.TLSVersion.TLSv1_2 = nil

---@type string
trio.ssl.TLSVersion.TLSv1_3 = nil

trio.testing = {}

trio.to_thread = {}

---@type string
trio.version = nil

---@param seconds number
---@param opts? table
---@param body async fun(...): ...
---@return trio.CancelScope
---@return any ...
function trio.move_on_after(seconds, opts, body) end

---@param deadline number
---@param opts? table
---@param body async fun(...): ...
---@return trio.CancelScope
---@return any ...
function trio.move_on_at(deadline, opts, body) end

---@param seconds any
---@param opts? table
---@param body async fun(...): ...
---@return any ...
function trio.fail_after(seconds, opts, body) end

---@param deadline any
---@param opts? table
---@param body async fun(...): ...
---@return any ...
function trio.fail_at(deadline, opts, body) end

---@param opts? table
---@return trio.CancelScope
function trio.CancelScope(opts) end

---Enters the scope, calls `body(scope)`, leaves it.
---@param body async fun(...): ...
---@return any ...
function scope:run(body) end

---Cancels the scope, at any time, from any task. Tasks that wait inside are woken;
---they get `Cancelled` when it is their turn. A second call does nothing.
---@param reason? string
function scope:cancel(reason) end

---@return number
function trio.current_effective_deadline() end

---@param max_buffer_size integer
---@return trio.MemorySendChannel
---@return trio.MemoryReceiveChannel
function trio.open_memory_channel(max_buffer_size) end

---Waits until there is room, or somebody receives. If it is cancelled, the value
---was not sent.
---@async
---@param value any
function send:send(value) end

---@param value any
function send:send_nowait(value) end

---@return trio.MemorySendChannel
function send:clone() end

---Tasks that wait to send through this very end get `ClosedResourceError`. If it
---was the last one, receivers still get what is in the buffer, then
---`EndOfChannel`. Closing twice is fine.
function send:close() end

---Closes, then is a checkpoint.
---@async
function send:aclose() end

---@return table
function send:statistics() end

---@async
---@return any
function receive:receive() end

---@return any
function receive:receive_nowait() end

---All receive ends take from the same queue: each value goes to one of them.
---@return trio.MemoryReceiveChannel
function receive:clone() end

---Tasks that wait at this very end get `ClosedResourceError`. If it was the last
---one, the buffer is thrown away, and senders get `BrokenResourceError`.
function receive:close() end

---Closes, then is a checkpoint.
---@async
function receive:aclose() end

---@return any
function receive:statistics() end

---Makes a channel of a function that yields values. The function runs as a task of
---its own, beside a body that receives; it may wait, open scopes and yield from
---inside of them, which a coroutine may not.
---@param producer function
---@return function
function trio.as_safe_channel(producer) end

---Puts `trio.coroutine` into the global `coroutine`, and a guarded `pcall` and
---`xpcall` into the globals (see [errors.md](errors.md)).
function trio.install() end

---as in Lua
---@param fn function
---@return any
function trio.coroutine.create(fn) end

---may suspend the task, if code in the coroutine waits
---@param co any
---@param ... any
---@return any
function trio.coroutine.resume(co, ...) end

---the same for the function that it returns; the `<close>` variables of a coroutine that failed may wait
---@param fn function
---@return any
function trio.coroutine.wrap(fn) end

---a Lua error in a task, outside of any coroutine
---@param ... any
---@return any
function trio.coroutine.yield(...) end

---"normal" for one that waits in a task
---@param co any
---@return any
function trio.coroutine.status(co) end

---false in a task, outside of any coroutine
---@param co? any
---@return any
function trio.coroutine.isyieldable(co) end

---as in Lua
---@return any
function trio.coroutine.running() end

---its `<close>` variables may wait; an error for one that waits in a task
---@param co any
---@return any
function trio.coroutine.close(co) end

---@param socket any
---@param opts? table
---@return trio.DTLSEndpoint
function trio.DTLSEndpoint(socket, opts) end

---Makes a channel to a peer; nothing is sent yet.
---@param address any
---@param context any
---@param opts? table
---@return trio.DTLSChannel
function endpoint:connect(address, context, opts) end

---Runs `handler(channel, ...)` in a task for each peer that connects, and closes
---the channel when that ends. The peer has shown its address by then, but the
---handshake is done when the handler first uses the channel. Like
---`trio.serve_tcp`, it can be started: `nursery:start(endpoint.serve, endpoint,
---context, handler)` comes back when it listens.
---@async
---@param context any
---@param handler async fun(...): ...
---@param ... any
function endpoint:serve(context, handler, ...) end

---Closes the socket and all channels. Who waits in one of them gets a
---`ClosedResourceError`, handlers included: to stop a server, rather cancel the
---task that serves.
function endpoint:close() end

---Does the handshake, or waits for the task that does it. Afterwards it does
---nothing but a checkpoint. `send` and `receive` call it where that is needed. One
---that was cancelled can be called again.
---@async
---@param opts? table
function channel:do_handshake(opts) end

---Sends a datagram.
---@async
---@param data string
function channel:send(data) end

---Waits for a datagram. What isn't authentic or was received before is skipped. A
---cancelled `receive` loses nothing. `for data in channel do` receives until the
---peer says good-bye.
---@async
---@return string
function channel:receive() end

---Ends this side of the association, without a word to the peer. A channel that is
---merely forgotten needs no `close`: it has nothing but memory.
function channel:close() end

---The same, and a checkpoint.
---@async
function channel:aclose() end

---Says how large a datagram may be, without the headers of IP and UDP, which take
---28 bytes with IPv4 and 48 with IPv6. By default that is 1472 or 1452. Before the
---handshake it limits what that sends; afterwards it matters for
---`get_cleartext_mtu` only.
---@param bytes integer
function channel:set_ciphertext_mtu(bytes) end

---@return integer
function channel:get_cleartext_mtu() end

---@return table
function channel:statistics() end

---What was negotiated, as for [streams](tls.md).
---@param opts? table
---@return any
function channel:getpeercert(opts) end

---What was negotiated, as for [streams](tls.md).
---@return any
function channel:cipher() end

---What was negotiated, as for [streams](tls.md).
---@return any
function channel:version() end

---What was negotiated, as for [streams](tls.md).
---@return any
function channel:selected_alpn_protocol() end

---The same for a host written in Lua, such as a game with a frame loop: prepares a
---run that goes on only while the host calls `step`.
---@param opts table
---@param main function
---@param ... any
---@return any
---@overload fun(main: function, ...: any): any
function trio.lowlevel.start_guest_run(opts, main, ...) end

---@param value any
---@param Class any
---@return boolean
function trio.isinstance(value, Class) end

---@param name string
---@return any
function Class:subclass(name) end

---@param message string
---@param errors any[]
---@param tracebacks? any[]
---@return trio.ExceptionGroup
function trio.ExceptionGroup(message, errors, tracebacks) end

---@param cond any
---@return any
function group:split(cond) end

---@param cond any
---@return any
function group:subgroup(cond) end

---@param errors any
---@param tracebacks? any
---@return any
function group:derive(errors, tracebacks) end

---@return any
function group:leaves() end

---@return any
function group:report() end

---@param handlers any[]
---@param body async fun(...): ...
---@param ... any
---@return any ...
function trio.catch(handlers, body, ...) end

---@param f any
---@param ... any
---@return boolean
---@return any ...
function trio.pcall(f, ...) end

---@param f any
---@param msgh any
---@param ... any
---@return boolean
---@return any ...
function trio.xpcall(f, msgh, ...) end

---@param fn async fun(...): ...
---@param opts? table
---@return any
function trio.defer(fn, opts) end

---Opens a file.
---@async
---@param path string
---@param mode? any
---@return trio.File
function trio.open_file(path, mode) end

---Reads by the formats given, as Lua's `file:read` does: `"l"` a line (the
---default), `"L"` a line with its end, `"n"` a numeral, `"a"` all the rest, or a
---number of bytes. Lines may have any length.
---@async
---@param ... any
---@return any
function file:read(...) end

---For a loop: `for line in file:lines() do`. Each step is a `read` of the formats.
---The file stays open at the end.
---@param ... any
---@return any
function file:lines(...) end

---Writes strings and numbers. They go into a buffer, and to the system when 64 KiB
---have come together, with `flush`, `seek` or at the end.
---@async
---@param ... any
---@return any
function file:write(...) end

---Hands the buffer to the system.
---@async
---@return true
function file:flush() end

---Moves, as Lua's `file:seek` does.
---@async
---@param whence? any
---@param offset? any
---@return any
function file:seek(whence, offset) end

---Says when a write goes out: `"no"`: at once; `"line"`: when it ends a line (the
---default of terminals); `"full"`: when so many bytes have come together.
---@async
---@param mode any
---@param size? any
---@return true
function file:setvbuf(mode, size) end

---Writes what is left, and closes. Another task that is waiting in the file gets
---`ClosedResourceError`.
---@async
function file:aclose() end

---Makes an async file of one of `io`, or of any object with `close`, and `read` or
---`write`.
---@param file any
---@return trio.WrappedFile
function trio.wrap_file(file) end

---Closes the object.
---@async
---@return any
function wrapper:aclose() end

---@class trio.PathClass
---@overload fun(...: any): trio.Path
trio.Path = {}

---The working directory.
---@async
---@return trio.Path
function trio.Path.cwd() end

---The home folder of the user.
---@async
---@return trio.Path
function trio.Path.home() end

---the path with these below it
---@param ... any
---@return any
function path:joinpath(...) end

---the path with another last part
---@param name any
---@return any
function path:with_name(name) end

---the same; the suffix stays
---@param stem any
---@return any
function path:with_stem(stem) end

---the same; the stem stays. `""` takes the suffix away
---@param suffix any
---@return any
function path:with_suffix(suffix) end

---what leads from `other` to the path. An error if that isn't below, unless the option `walk_up` allows `..`
---@param other any
---@param opts? table
---@return any
function path:relative_to(other, opts) end

---whether it is below
---@param other any
---@return any
function path:is_relative_to(other) end

---whether it begins with `/`
---@return any
function path:is_absolute() end

---whether its last parts match the pattern; all of it, if that is absolute
---@param pattern any
---@return any
function path:match(pattern) end

---`file:///...`, of an absolute path
---@return any
function path:as_uri() end

---is something there?
---@async
---@return any
function path:exists() end

---a plain file, or a link to one?
---@async
---@return any
function path:is_file() end

---a folder?
---@async
---@return any
function path:is_dir() end

---a symbolic link?
---@async
---@return any
function path:is_symlink() end

---a named pipe?
---@async
---@return any
function path:is_fifo() end

---a socket?
---@async
---@return any
function path:is_socket() end

---a device with blocks?
---@async
---@return any
function path:is_block_device() end

---a device without?
---@async
---@return any
function path:is_char_device() end

---do both lead to the same file?
---@async
---@param other any
---@return any
function path:samefile(other) end

---a table: `size`, `mode` (the permissions, a number), `type` (`"file"`, `"directory"`, `"link"`, `"fifo"`, `"socket"`, `"char"`, `"block"`), `mtime`, `atime`, `ctime` (seconds), `uid`, `gid`, `nlink`, `ino`, `dev`, `blocks`, `blksize`
---@async
---@return any
function path:stat() end

---the same about a link itself
---@async
---@return any
function path:lstat() end

---all of the file
---@async
---@return any
function path:read_text() end

---the same: Lua's strings are bytes
---@async
---@return any
function path:read_bytes() end

---make this the content of the file; returns the number of bytes
---@async
---@param text any
---@return any
function path:write_text(text) end

---the same
---@async
---@param data any
---@return any
function path:write_bytes(data) end

---`trio.open_file(path, mode)`
---@async
---@param mode? any
---@return trio.File
function path:open(mode) end

---the paths in the folder
---@async
---@return any
function path:iterdir() end

---the paths below that match a relative pattern. The part `**` stands for any number of folders, and at the end for all there is
---@async
---@param pattern any
---@return any
function path:glob(pattern) end

---`path:glob("**/" .. pattern)`
---@async
---@param pattern any
---@return any
function path:rglob(pattern) end

---make a folder. Options: `mode`, `parents` (make missing ones above, too), `exist_ok`
---@async
---@param opts? table
---@return any
function path:mkdir(opts) end

---make an empty file, or set its times to now. Options: `mode`, `exist_ok` (default true)
---@async
---@param opts? table
---@return any
function path:touch(opts) end

---move it; a file in that place is replaced. Returns the new path
---@async
---@param target any
---@return any
function path:rename(target) end

---the same
---@async
---@param target any
---@return any
function path:replace(target) end

---remove a file. Option: `missing_ok`
---@async
---@param opts? table
---@return any
function path:unlink(opts) end

---remove an empty folder
---@async
---@return any
function path:rmdir() end

---set the permissions
---@async
---@param mode any
---@return any
function path:chmod(mode) end

---make it a symbolic link
---@async
---@param target any
---@return any
function path:symlink_to(target) end

---make it another name of a file
---@async
---@param target any
---@return any
function path:hardlink_to(target) end

---where a symbolic link leads
---@async
---@return any
function path:readlink() end

---absolute, without links and `..`. What doesn't exist stays as it is, unless the option `strict` is set
---@async
---@param opts? table
---@return any
function path:resolve(opts) end

---absolute; links and `..` stay
---@async
---@return any
function path:absolute() end

---with a home folder in place of `~` or `~name`
---@async
---@return any
function path:expanduser() end

---`trio.testing.MockClock({autojump_threshold = 0})`
---@param autojump_threshold any
---@return trio.testing.MockClock
function trio.testing.MockClock(autojump_threshold) end

---Lets the other tasks have a turn, then looks for a cancellation.
---@async
function trio.lowlevel.checkpoint() end

---Suspends the task only where there is something to raise. Cheap, but unfair: the
---others get no turn.
---@async
function trio.lowlevel.checkpoint_if_cancelled() end

---Lets the other tasks have a turn, whatever is cancelled.
---@async
function trio.lowlevel.cancel_shielded_checkpoint() end

---Suspends the task until `reschedule`.
---@async
---@param abort_fn async fun(...): ...
---@return any ...
function trio.lowlevel.wait_task_rescheduled(abort_fn) end

---Lets a task go on that waits in `wait_task_rescheduled`.
---@param task any
---@param ... any
function trio.lowlevel.reschedule(task, ...) end

---@return trio.lowlevel.ParkingLot
function trio.lowlevel.ParkingLot() end

---Waits until it is unparked. There is no quick way out: it always suspends.
---@async
function lot:park() end

---Wakes the tasks that have waited longest.
---@param opts? table
---@return any[]
function lot:unpark(opts) end

---@return any[]
function lot:unpark_all() end

---Moves tasks to the end of another lot, longest waiting first, without waking
---them.
---@param other any
---@param opts? table
function lot:repark(other, opts) end

---@param other any
function lot:repark_all(other) end

---Breaks the lot: everybody in it gets `BrokenResourceError`, and so does who
---parks later.
---@param task? any
function lot:break_lot(task) end

---@return table
function lot:statistics() end

---When the task ends, the lot breaks: for resources that their owner must give
---back. It may be called several times.
---@param task any
---@param lot any
function trio.lowlevel.add_parking_lot_breaker(task, lot) end

---Takes back one call of `add_parking_lot_breaker`.
---@param task any
---@param lot any
function trio.lowlevel.remove_parking_lot_breaker(task, lot) end

---A queue into which values are put one by one, and from which they are taken all
---at once. Putting never waits, so nothing holds back who puts; prefer a
---[channel](channels.md).
---@return trio.lowlevel.UnboundedQueue
function trio.lowlevel.UnboundedQueue() end

---@param value any
function queue:put_nowait(value) end

---@async
---@return any[]
function queue:get_batch() end

---@return any[]
function queue:get_batch_nowait() end

---@return integer
function queue:qsize() end

---@return integer
function queue:empty() end

---@return integer
function queue:statistics() end

---@return trio.lowlevel.Task
function trio.lowlevel.current_task() end

---@return trio.lowlevel.Task
function trio.lowlevel.current_root_task() end

---@return any
function task:traceback() end

---Starts `fn(...)` as a task of the run itself. It has no scopes around it and is
---cancelled when the main task has ended. It sees the `ContextVar` values of the
---beginning of the run, and Ctrl+C isn't raised in it.
---@param opts table
---@param fn async fun(...): ...
---@param ... any
---@return trio.lowlevel.Task
---@overload fun(fn: async fun(...): ..., ...: any): trio.lowlevel.Task
function trio.lowlevel.spawn_system_task(opts, fn, ...) end

---@return boolean
function trio.lowlevel.in_trio_run() end

---@return boolean
function trio.lowlevel.in_trio_task() end

---@return any
function trio.lowlevel.current_clock() end

---@return table
function trio.lowlevel.current_statistics() end

---A variable of which every run has a value of its own. It has the methods of a
---[`ContextVar`](nurseries.md): `get`, `set`, `reset`, which raise a Lua error
---outside of a run.
---@param name string
---@param default? any
---@return trio.ContextVar
function trio.lowlevel.RunVar(name, default) end

---@return trio.TrioToken
function trio.lowlevel.current_trio_token() end

---Has `fn(...)` called soon, in a task of the runtime, in the order of the calls.
---@param opts table
---@param fn function
---@param ... any
---@overload fun(self, fn: function, ...: any)
function token:run_sync_soon(opts, fn, ...) end

---@param instrument table
function trio.lowlevel.add_instrument(instrument) end

---@param instrument any
function trio.lowlevel.remove_instrument(instrument) end

---The tasks that live now, with their nurseries and scopes: what each waits in,
---and where.
---@param task? any
---@return string
function trio.lowlevel.task_tree(task) end

---Connects. A name may have several addresses, some of which don't work; they are
---tried one after the other, without waiting for each to fail ("Happy Eyeballs",
---RFC 8305): the next attempt begins when the one before has failed, or after a
---delay. The first that succeeds ends the others. The first address of another
---family than that of the very first one is tried second.
---@async
---@param host any
---@param port integer
---@param opts? table
---@return any
function trio.open_tcp_stream(host, port, opts) end

---Connects to a Unix socket.
---@async
---@param path string
---@return any
function trio.open_unix_socket(path) end

---Listens and serves: `open_tcp_listeners`, then `serve_listeners`. Start it with
---`nursery:start`, which returns when the port can be connected to.
---@async
---@param task_status any
---@param handler async fun(...): ...
---@param port integer
---@param opts? table
---@overload async fun(handler: async fun(...): ..., port: integer, opts?: table)
function trio.serve_tcp(task_status, handler, port, opts) end

---Accepts connections for ever and calls `handler(stream)` in a new task for each.
---When the handler ends, its stream is closed, by force. An error in a handler
---ends the server with all its connections: where one connection shouldn't harm
---the others, catch errors in the handler, with `trio.pcall`.
---@async
---@param task_status any
---@param handler async fun(...): ...
---@param listeners any[]
---@param opts? table
---@overload async fun(handler: async fun(...): ..., listeners: any[], opts?: table)
function trio.serve_listeners(task_status, handler, listeners, opts) end

---@async
---@param port integer
---@param opts? table
---@return any[]
function trio.open_tcp_listeners(port, opts) end

---Listens at a Unix socket. The file stays when the listener is closed; a socket
---file at which nobody listens any more is replaced by the next listener. Serve
---with `trio.serve_listeners(handler, {listener})`.
---@async
---@param path any
---@param opts? table
---@return any
function trio.open_unix_listener(path, opts) end

---@param socket any
---@return trio.SocketListener
function trio.SocketListener(socket) end

---@async
---@return any
function listener:accept() end

function listener:close() end

---Closes, then is a checkpoint.
---@async
function listener:aclose() end

---Makes a stream of a connected socket. It sets `TCP_NODELAY`, and
---`TCP_NOTSENT_LOWAT` to 16 KiB, where there are such options. It has the methods
---of all [streams](streams.md), `send_eof` included. `send_all` also takes an
---array of strings.
---@param socket any
---@return trio.SocketStream
function trio.SocketStream(socket) end

---The same as `socket:setsockopt`.
---@param level any
---@param option any
---@param value any
function stream:setsockopt(level, option, value) end

---The same as `socket:getsockopt`.
---@param level any
---@param option any
---@param size? any
---@return any
function stream:getsockopt(level, option, size) end

---Reads from any stream in units of the program's choice. What was received and
---not yet asked for stays in a buffer: read from this object only, send through
---the stream itself.
---@param stream any
---@return trio.BufferedReceiveStream
function trio.BufferedReceiveStream(stream) end

---@async
---@param n integer
---@return string
function stream:receive_exactly(n) end

---@async
---@param delimiter string
---@param max_bytes integer
---@return any
function stream:receive_until(delimiter, max_bytes) end

---`for line in stream:lines() do`: the lines without their end, which is `"\n"` or
---`"\r\n"`. The last one needs none. Each step of the loop is a checkpoint.
---@param max_bytes? any
---@return any
function stream:lines(max_bytes) end

---@param family? any
---@param type? any
---@param proto? any
---@param fd? any
---@return any
function trio.socket.socket(family, type, proto, fd) end

---@param family? any
---@param type? any
---@param proto? any
---@return any
function trio.socket.socketpair(family, type, proto) end

---@param fd any
---@return any
function trio.socket.fromfd(fd) end

---Looks up names. Numeric hosts and ports need no look-up; everything else goes to
---the custom resolver, if there is one, or to the system. Hosts outside of ASCII
---are encoded as IDNA 2008 wants it; of the mappings that may come before, only
---capital letters of the Latin, Greek and Cyrillic scripts are made small.
---@async
---@param host string
---@param port integer
---@param opts? table
---@return any[]
function trio.socket.getaddrinfo(host, port, opts) end

---@async
---@param address any
---@param flags? integer
---@return any
function trio.socket.getnameinfo(address, flags) end

---Replaces the system's look-up for the rest of the run. Made for tests.
---@param resolver any
---@return any
function trio.socket.set_custom_hostname_resolver(resolver) end

---Replaces `trio.socket.socket` for the rest of the run. What the factory returns
---is used by its methods, whatever its type, also by `open_tcp_stream` and the
---rest.
---@param factory any
---@return any
function trio.socket.set_custom_socket_factory(factory) end

---@async
---@param address any
function socket:bind(address) end

---@param backlog? integer
function socket:listen(backlog) end

---@async
---@return any
function socket:accept() end

---@async
---@param address any
function socket:connect(address) end

---@async
---@param max_bytes integer
---@param flags? integer
---@return string
function socket:recv(max_bytes, flags) end

---@async
---@param max_bytes any
---@param flags? any
---@return string
function socket:recvfrom(max_bytes, flags) end

---@async
---@param max_bytes any
---@param max_ancillary? integer
---@param flags? any
---@return string
function socket:recvmsg(max_bytes, max_ancillary, flags) end

---@async
---@param data string
---@param flags? integer
---@return integer
function socket:send(data, flags) end

---@async
---@param data string
---@param flags? integer
---@param address any
---@return integer
function socket:sendto(data, flags, address) end

---@async
---@param data string
---@param ancillary? any[]
---@param flags? integer
---@param address? any
---@return integer
function socket:sendmsg(data, ancillary, flags, address) end

---Waits until sending would not have to wait.
---@async
function socket:wait_writable() end

---@return any
function socket:is_readable() end

---@param how any
function socket:shutdown(how) end

function socket:close() end

---@return any
function socket:detach() end

---@return any
function socket:dup() end

---@return any
function socket:fileno() end

---@return any
function socket:getsockname() end

---@return any
function socket:getpeername() end

---@param level any
---@param option any
---@param size? any
---@return integer
function socket:getsockopt(level, option, size) end

---@param level any
---@param option any
---@param value integer
function socket:setsockopt(level, option, value) end

---A stream over a descriptor that is no socket: a pipe, a terminal, a device.
---Files can be read through it, too, but reading them stops all tasks; see
---[files.md](files.md) for files. It has the methods of all [streams](streams.md)
---except `send_eof`.
---@param fd integer
---@return trio.lowlevel.FdStream
function trio.lowlevel.FdStream(fd) end

---@return any
function stream:fileno() end

---Waits until reading would not have to wait; it may return early. For descriptors
---that another library reads.
---@async
---@param fd integer
function trio.lowlevel.wait_readable(fd) end

---Waits until writing would not have to wait; otherwise like `wait_readable`.
---@async
---@param fd any
function trio.lowlevel.wait_writable(fd) end

---Ends the waits for a descriptor with `ClosedResourceError`. Call it right before
---closing one that others may be waiting for.
---@param fd any
function trio.lowlevel.notify_closing(fd) end

---Connects to a server of the same program, wherever it listens.
---@async
---@param listener any
---@return any
function trio.testing.open_stream_to_socket_listener(listener) end

---Calls `body(nursery)`, waits for the body and for every task, returns.
---@async
---@param opts table
---@param body async fun(...): ...
---@return any ...
---@overload async fun(body: async fun(...): ...): any
function trio.open_nursery(opts, body) end

---Starts `fn(...)` as a new task. It begins to run in the next batch, never before
---`start_soon` returns.
---@param opts table
---@param fn async fun(...): ...
---@param ... any
---@overload fun(self, fn: async fun(...): ..., ...: any)
function nursery:start_soon(opts, fn, ...) end

---Starts `fn(task_status, ...)` and waits until it says that it is ready, by
---calling `task_status:started(...)`. Then `fn` goes on as a task of the nursery.
---Use it for services: when `start` returns, the service can be used.
---@async
---@param opts table
---@param fn async fun(...): ...
---@param ... any
---@return any ...
---@overload async fun(self, fn: async fun(...): ..., ...: any): any
function nursery:start(opts, fn, ...) end

---@param ... any
function task_status:started(...) end

---@param name string
---@param default? any
---@return trio.ContextVar
function trio.ContextVar(name, default) end

---@param default? any
---@return any
function var:get(default) end

---@param value any
---@return any
function var:set(value) end

---Goes back to what the variable was before the `set` that gave the token.
---@param token any
function var:reset(token) end

---Runs a program to its end. With [`nursery:start`](nurseries.md) it runs in the
---background, and `start` returns the `Process`.
---@async
---@param command any[]
---@param opts? table
---@return table
function trio.run_process(command, opts) end

---Starts a program and leaves the rest to you: nobody feeds it, waits for it, or
---ends it.
---@async
---@param command any
---@param opts? table
---@return trio.Process
function trio.lowlevel.open_process(command, opts) end

---Waits for the end. Any number of tasks may wait.
---@async
---@return any
function process:wait() end

---@return any
function process:poll() end

---Sends it a signal. If it has ended, nothing happens.
---@param signal any
function process:send_signal(signal) end

---`SIGTERM`, which a program may react to, and `SIGKILL`, which it can't. `kill`
---doesn't wait for the end either.
function process:terminate() end

---`SIGTERM`, which a program may react to, and `SIGKILL`, which it can't. `kill`
---doesn't wait for the end either.
function process:kill() end

---@param signals any[]
---@param body function
---@return any ...
function trio.open_signal_receiver(signals, body) end

---A function that calls `fn` with its arguments and returns its results; while
---that runs, Ctrl+C raises nothing, or does again. Of several the innermost
---counts. What came meanwhile is raised at the next instruction that isn't
---protected, or at the next checkpoint, which isn't: protected code may wait and
---still be interrupted there.
---@param fn function
---@return function
function trio.lowlevel.enable_ki_protection(fn) end

---A function that calls `fn` with its arguments and returns its results; while
---that runs, Ctrl+C raises nothing, or does again. Of several the innermost
---counts. What came meanwhile is raised at the next instruction that isn't
---protected, or at the next checkpoint, which isn't: protected code may wait and
---still be interrupted there.
---@param fn function
---@return function
function trio.lowlevel.disable_ki_protection(fn) end

---@return boolean
function trio.lowlevel.currently_ki_protected() end

---@param opts table
---@param main async fun(...): ...
---@param ... any
---@return any ...
---@overload fun(main: async fun(...): ..., ...: any): any
function trio.run(opts, main, ...) end

---@async
---@param seconds number
function trio.sleep(seconds) end

---@async
---@param deadline number
function trio.sleep_until(deadline) end

---@async
function trio.sleep_forever() end

---@return number
function trio.current_time() end

---`start_clock` is called once, when the run begins. The run calls the others
---whenever it needs the time.
function clock:start_clock() end

---`start_clock` is called once, when the run begins. The run calls the others
---whenever it needs the time.
function clock:current_time() end

---`start_clock` is called once, when the run begins. The run calls the others
---whenever it needs the time.
---@param deadline number
function clock:deadline_to_sleep_time(deadline) end

---Sends everything, waiting as long as the other side takes it slowly.
---@async
---@param data string
function stream:send_all(data) end

---Waits until `send_all` would perhaps not have to wait: to compute what is sent
---as late as possible. It may return too early, never too late.
---@async
function stream:wait_send_all_might_not_block() end

---Tells the other side that nothing more comes; receiving goes on. Only streams
---for both directions have it, and not all of them.
---@async
function stream:send_eof() end

---Receives what is there, waiting for at least one byte.
---@async
---@param max_bytes? integer
---@return string?
function stream:receive_some(max_bytes) end

---Closes both directions, politely if the stream knows manners. Who waits in an
---operation of this side gets a `ClosedResourceError`.
---@async
function stream:aclose() end

---Closes without manners, and so without waiting: calls `resource:aclose()` in a
---cancelled scope.
---@async
---@param resource any
function trio.aclose_forcefully(resource) end

---Makes one stream for both directions of two for one.
---@param send_stream any
---@param receive_stream any
---@return trio.StapledStream
function trio.StapledStream(send_stream, receive_stream) end

---@param value any
---@param interface any
---@return boolean
function trio.abc.implements(value, interface) end

---@return any
function trio.testing.memory_stream_pair() end

---@return any
function trio.testing.memory_stream_one_way_pair() end

---Moves data, or the end, from one stream to the other by hand.
---@param send any
---@param receive any
---@param opts? table
---@return boolean
function trio.testing.memory_stream_pump(send, receive, opts) end

---A stream that keeps what is sent, for the test to look at.
---@param send_all_hook? any
---@param wait_send_all_might_not_block_hook? any
---@param close_hook? any
---@return trio.testing.MemorySendStream
function trio.testing.MemorySendStream(send_all_hook, wait_send_all_might_not_block_hook, close_hook) end

---A stream that gives what the test has put into it.
---@param receive_some_hook? any
---@param close_hook? any
---@return trio.testing.MemoryReceiveStream
function trio.testing.MemoryReceiveStream(receive_some_hook, close_hook) end

---@return any
function trio.testing.lockstep_stream_pair() end

---@return any
function trio.testing.lockstep_stream_one_way_pair() end

---@async
---@param stream_maker async fun(...): ...
---@param clogged_stream_maker? any
function trio.testing.check_one_way_stream(stream_maker, clogged_stream_maker) end

---@async
---@param stream_maker any
---@param clogged_stream_maker? any
function trio.testing.check_two_way_stream(stream_maker, clogged_stream_maker) end

---@async
---@param stream_maker any
---@param clogged_stream_maker? any
function trio.testing.check_half_closeable_stream(stream_maker, clogged_stream_maker) end

---What was sent, waiting for at least one byte; nil at the end. A checkpoint.
---@async
---@param max_bytes? any
---@return any
function stream:get_data(max_bytes) end

---The same, or `WouldBlock`.
---@param max_bytes? any
---@return any
function stream:get_data_nowait(max_bytes) end

---As `aclose`, without a checkpoint.
---@return any
function stream:close() end

---Lets the data be received. `ClosedResourceError` behind the end or a close.
---@param data any
---@return any
function stream:put_data(data) end

---Lets the stream end behind what is there.
---@return any
function stream:put_eof() end

---@return trio.Event
function trio.Event() end

---Sets it, for good, and wakes everybody who waits. Again does nothing.
function event:set() end

---@return boolean
function event:is_set() end

---Waits until it is set.
---@async
function event:wait() end

---@return table
function event:statistics() end

---Both behave the same. That the order is first in, first out is a promise of the
---second only.
---@return trio.Lock
function trio.Lock() end

---Both behave the same. That the order is first in, first out is a promise of the
---second only.
---@return trio.Lock
function trio.StrictFIFOLock() end

---Takes the lock, calls `body()`, gives the lock back.
---@async
---@param body async fun(...): ...
---@return any ...
function lock:with(body) end

---@async
function lock:acquire() end

function lock:acquire_nowait() end

---Gives it to the task that has waited longest, or sets it free.
function lock:release() end

---@return boolean
function lock:locked() end

---@return table
function lock:statistics() end

---@param total_tokens integer
---@return trio.CapacityLimiter
function trio.CapacityLimiter(total_tokens) end

---Borrows a token for the calling task, calls `body()`, gives the token back.
---@async
---@param body async fun(...): ...
---@return any ...
function limiter:with(body) end

---Borrows a token for the calling task.
---@async
function limiter:acquire() end

function limiter:acquire_nowait() end

function limiter:release() end

---As `acquire`, for a borrower that isn't the calling task. Where several tasks
---wait for the same borrower, all of them go on, but it gets one token only.
---@async
---@param borrower any
function limiter:acquire_on_behalf_of(borrower) end

---@param borrower any
function limiter:acquire_on_behalf_of_nowait(borrower) end

---@param borrower any
function limiter:release_on_behalf_of(borrower) end

---@return table
function limiter:statistics() end

---@param initial_value integer
---@param opts? table
---@return trio.Semaphore
function trio.Semaphore(initial_value, opts) end

---Takes a unit, calls `body()`, gives the unit back.
---@async
---@param body async fun(...): ...
---@return any ...
function semaphore:with(body) end

---@async
function semaphore:acquire() end

function semaphore:acquire_nowait() end

---Hands a unit to the task that has waited longest, or raises the value.
function semaphore:release() end

---@return boolean
function semaphore:locked() end

---@return table
function semaphore:statistics() end

---@param lock? any
---@return trio.Condition
function trio.Condition(lock) end

---@async
---@param body async fun(...): ...
---@return any ...
function condition:with(body) end

---@async
---@return any
function condition:acquire() end

---@return any
function condition:acquire_nowait() end

---@return any
function condition:release() end

---@return any
function condition:locked() end

---Gives up the lock, waits for `notify`, takes the lock again.
---@async
function condition:wait() end

---Lets the `n` tasks that have waited longest go on. They do so one after another,
---as each gets the lock.
---@param n? integer
function condition:notify(n) end

function condition:notify_all() end

---@return table
function condition:statistics() end

---Moves the clock ahead. Nothing runs before the caller waits.
---@param seconds any
function clock:jump(seconds) end

---Waits until no other task is able to run: the others have come as far as they
---can get.
---@async
---@param cushion? integer
function trio.testing.wait_all_tasks_blocked(cushion) end

---Turns a function that waits into one that plain code can call.
---@param fn function
---@return function
function trio.testing.trio_test(fn) end

---@param body async fun(...): ...
---@return any ...
function trio.testing.assert_checkpoints(body) end

---@param body function
---@return any ...
function trio.testing.assert_no_checkpoints(body) end

---@return trio.testing.Sequencer
function trio.testing.Sequencer() end

---Runs a function under many seeds, and stops at the first one that makes it fail.
---@param opts table
---@param fn function
---@param ... any
---@return integer
---@overload fun(fn: function, ...: any): integer
function trio.testing.explore(opts, fn, ...) end

---Calls `fn(...)` in a worker thread and waits for it.
---@async
---@param opts table
---@param fn async fun(...): ...
---@param ... any
---@return any ...
---@overload async fun(fn: async fun(...): ..., ...: any): any
function trio.to_thread.run_sync(opts, fn, ...) end

---The `CapacityLimiter` that holds back calls without a limiter of their own. Each
---run has one, with 40 tokens; set `total_tokens` for another number.
---@return any
function trio.to_thread.current_default_thread_limiter() end

---Calls `fn(...)`, which may wait, in the run, and blocks the thread meanwhile. The
---call is made by the task that waits for the thread, in its scopes: it sees its
---deadlines and cancellations, and a `Cancelled` comes out here. If the thread may
---be abandoned, or with a token, a system task makes the call; it is cancelled
---when the main task has ended.
---@param opts table
---@param fn function
---@param ... any
---@return any ...
---@overload fun(fn: function, ...: any): any
function trio.from_thread.run(opts, fn, ...) end

---The same for a function that doesn't wait. It never raises `Cancelled` of its
---own, so it works in a cancelled task as well.
---@param opts table
---@param fn function
---@param ... any
---@return any ...
---@overload fun(fn: function, ...: any): any
function trio.from_thread.run_sync(opts, fn, ...) end

---For long computations: raises if the task that waits for this thread has been
---cancelled since the thread was started, also if the thread was abandoned. It is
---cheap and doesn't leave the thread.
function trio.from_thread.check_cancelled() end

---Starts `fn()` in a worker thread and returns at once. In Trio `deliver` runs in
---the thread; a Lua function can't, so here it runs in the run that called, in a
---task of the library where it can't wait. If the run ends first, it isn't called.
---@param fn function
---@param deliver any
---@param name? any
function trio.lowlevel.start_thread_soon(fn, deliver, name) end

---@return integer
function trio.testing.active_thread_count() end

---Waits until no task waits for a thread.
---@async
function trio.testing.wait_all_threads_completed() end

---@param opts? table
---@return any
function trio.ssl.create_default_context(opts) end

---The certificate that this side shows to the other one.
---@param certfile any
---@param keyfile? any
---@param password? string
function context:load_cert_chain(certfile, keyfile, password) end

---Trusts more authorities. `context:load_verify_locations(cafile, capath, cadata)`
---does the same.
---@param opts table
function context:load_verify_locations(opts) end

---Trusts the system's authorities, too.
function context:load_default_certs() end

---What to speak over the connection (ALPN): a client offers these, the best one
---first, a server chooses the first of its own that the client has. Where they
---have none in common, none is chosen, and the handshake goes on.
---@param protocols any[]
function context:set_alpn_protocols(protocols) end

---@param list string
function context:set_ciphers(list) end

---@param list string
function context:set_ciphersuites(list) end

---@return table
function context:session_stats() end

---TLS over a stream. The handshake is done by the first `send_all`,
---`receive_some` or `aclose`, or by `do_handshake`.
---@param transport any
---@param context any
---@param opts? table
---@return trio.SSLStream
function trio.SSLStream(transport, context, opts) end

---Does the handshake, or waits for the task that does it. Afterwards it does
---nothing but a checkpoint. Needed only where one wants to know about the peer
---before sending anything.
---@async
function stream:do_handshake() end

---Ends TLS, but not the connection: says goodbye and waits for the peer's.
---@async
---@return any
function stream:unwrap() end

---@param opts? table
---@return string
function stream:getpeercert(opts) end

---@return table
function stream:cipher() end

---@return any[]
function stream:shared_ciphers() end

---@return string
function stream:version() end

---@return string
function stream:selected_alpn_protocol() end

---@param kind? any
---@return string
function stream:get_channel_binding(kind) end

---@return any
function stream:compression() end

---@return integer
function stream:pending() end

---Connects as `trio.open_tcp_stream` does, and puts TLS over it. The handshake is
---yet to come.
---@async
---@param host any
---@param port any
---@param opts? table
---@return any
function trio.open_ssl_over_tcp_stream(host, port, opts) end

---Serves as `trio.serve_tcp` does: the handler gets an `SSLStream`, whose
---handshake is its own business. An error that it lets out ends the server, as
---with `serve_tcp`; every client that isn't trusted, or goes away, causes one.
---@async
---@param task_status any
---@param handler async fun(...): ...
---@param port any
---@param context any
---@param opts? table
---@overload async fun(handler: async fun(...): ..., port: any, context: any, opts?: table)
function trio.serve_ssl_over_tcp(task_status, handler, port, context, opts) end

---@async
---@param port any
---@param context any
---@param opts? table
---@return any[]
function trio.open_ssl_over_tcp_listeners(port, context, opts) end

---Makes an `SSLStream` of every stream that another listener accepts.
---@param listener any
---@param context any
---@param opts? table
---@return trio.SSLListener
function trio.SSLListener(listener, context, opts) end

---@class trio.BufferedReceiveStream: trio.Stream

---@class trio.SSLListener

---@class trio.SSLStream: trio.Stream

---@class trio.SocketListener

---@class trio.SocketStream: trio.Stream

---@class trio.StapledStream: trio.Stream

---@class trio.lowlevel.FdStream: trio.Stream

---@class trio.testing.MemoryReceiveStream: trio.Stream

---@class trio.testing.MemorySendStream: trio.Stream

---@class trio.testing.Sequencer

return trio
