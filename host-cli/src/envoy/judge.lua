-- Judges a request before it is sent on, by the routes of its host: whether the Host is the name that the connection was
-- opened for, and the first of the ways in which a server may read its path. The others are judged by filters behind
-- this one: a filter sees the route table's answer once.

local MAX_ROUNDS, MAX_READINGS = 4, 4

-- Whether bytes are UTF-8 (RFC 3629).
local function is_utf8(text)
  local at, length = 1, #text
  while at <= length do
    local byte = text:byte(at)
    local more, low, high
    if byte < 0x80 then more = 0
    elseif byte >= 0xc2 and byte <= 0xdf then more, low, high = 1, 0x80, 0xbf
    elseif byte == 0xe0 then more, low, high = 2, 0xa0, 0xbf
    elseif byte == 0xed then more, low, high = 2, 0x80, 0x9f
    elseif byte >= 0xe1 and byte <= 0xef then more, low, high = 2, 0x80, 0xbf
    elseif byte == 0xf0 then more, low, high = 3, 0x90, 0xbf
    elseif byte >= 0xf1 and byte <= 0xf3 then more, low, high = 3, 0x80, 0xbf
    elseif byte == 0xf4 then more, low, high = 3, 0x80, 0x8f
    else return false end
    for step = 1, more do
      local next = text:byte(at + step)
      if not next or next < low or next > high then return false end
      low, high = 0x80, 0xbf
    end
    at = at + more + 1
  end
  return true
end

-- Percent-decodes once; nil for control characters and what is no text.
local function decode(text)
  local decoded = text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
  if decoded:find("[%z\1-\31\127]") then return nil end
  if decoded:find("[\128-\255]") and not is_utf8(decoded) then return nil end
  return decoded
end

-- Backslashes are slashes, several are one, dot segments are resolved.
local function normal(path, cut)
  if cut then path = path:match("^[^?#]*") end
  local kept, count, ends_open = {}, 0, false
  for segment in (path:gsub("\\", "/") .. "/"):gmatch("([^/]*)/") do
    if cut then segment = segment:match("^[^;]*") end
    ends_open = segment == "" or segment == "." or segment == ".."
    if segment == ".." then
      if count > 0 then kept[count] = nil; count = count - 1 end
    elseif not ends_open then
      count = count + 1
      kept[count] = segment
    end
  end
  local slash = (ends_open and count > 0) and "/" or ""
  return "/" .. table.concat(kept, "/") .. slash
end

-- The ways in which a server may read a path; nil where they have no end.
local function readings(path)
  local text = path:match("^[^?#]*")
  if text:sub(1, 1) ~= "/" then return nil end
  local list, seen = {}, {}
  for _ = 0, MAX_ROUNDS do
    local decoded = decode(text)
    if not decoded then return nil end
    for _, cut in ipairs({false, true}) do
      local reading = normal(decoded, cut)
      if not seen[reading] then
        seen[reading] = true
        list[#list + 1] = reading
      end
    end
    if #list > MAX_READINGS then return nil end
    if decoded == text then return list end
    text = decoded
  end
  return nil
end

-- The status, the reason and the command that would allow it; nothing where the request is let through.
local function judge(handle, asked)
  -- Below a wildcard it is the agent that chooses, and what it chooses is asked of a resolver.
  if not asked.host:find("^[%w._-]+$") then return 403, "the Host is no name of a host" end
  if IS_TLS and asked.host ~= handle:streamInfo():requestedServerName() then
    return 421, "the Host is not the name that the connection was opened for"
  end
  local list = readings(asked.path)
  local verdict, about = look_up(handle, list and list[1] or "/")
  if about ~= "path" then
    if verdict == "allow" then return nil end
    if verdict == "deny" then return 403, "a rule denies this name" end
    return 403, "no rule lists this name", command(asked.host)
  end
  if not list then return 403, "the path can be read in more than one way" end
  local log = handle:streamInfo():dynamicMetadata()
  for number = 2, #list do log:set(READINGS, tostring(number), list[number]) end
  return of_path(verdict, asked, list[1])
end

function envoy_on_request(handle)
  run(handle, judge)
end
