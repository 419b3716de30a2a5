-- What all judging filters share: the look at the route table, and the refusal. Before this stand PORT (the rule's), PROTO,
-- IS_TLS and NUMBER (which reading of the path is judged).

local PATH, READINGS = "x-clawker-path", "clawker.readings"
-- The most that a stream's first window holds: a client sends as much without being asked for it, in bytes.
local WINDOW = 65535

local function quoted(text)
  local escaped = text:gsub('[%z\1-\31\127-\255"\\]', function(letter)
    return string.format("\\u%04x", letter:byte())
  end)
  return '"' .. escaped .. '"'
end

-- The command that would allow it, where everything in it is plain.
local function command(host, path)
  if not host:find("^[%w._-]+$") then return nil end
  local options = ""
  if PROTO ~= "tls" then options = options .. " --proto " .. PROTO end
  if (IS_TLS and PORT ~= 443) or (not IS_TLS and PORT ~= 80) then options = options .. " --port " .. PORT end
  if path then
    if not path:find("^/[%w/._@+=:,-]*$") then return nil end
    options = options .. " --path " .. path
  end
  return "clawker firewall add " .. host .. options
end

-- Takes in what a client was going to send in one go. An answer that ends a stream before its request has come whole is
-- lost on clients that are still sending: curl 7.88 tells of an error in the stream, and not of the refusal.
local function hear_out(handle)
  local length = tonumber(handle:headers():get("content-length") or "")
  if length and length > 0 and length <= WINDOW then handle:body() end
end

local function refuse(handle, status, asked, why, allow)
  local log = handle:streamInfo():dynamicMetadata()
  log:set("clawker", "verdict", "deny")
  log:set("clawker", "why", why)
  local fields = {
    '"error":"refused by the firewall\'s policy"',
    '"reason":' .. quoted(why),
    '"host":' .. quoted(asked.host),
    '"proto":' .. quoted(PROTO),
    '"port":' .. PORT,
    '"method":' .. quoted(asked.method),
    '"path":' .. quoted(asked.path),
  }
  if allow then fields[#fields + 1] = '"allow_with":' .. quoted(allow) end
  fields[#fields + 1] =
    '"hint":"This is policy, not a fault: ask the user to allow it; other ways are closed too."'
  pcall(hear_out, handle)
  handle:respond(
    {[":status"] = tostring(status), ["content-type"] = "application/json"},
    "{" .. table.concat(fields, ",") .. "}\n"
  )
end

-- What the route table says of a reading: the verdict, and what it is about. Asked twice, it would say the same again.
local function look_up(handle, reading)
  handle:headers():replace(PATH, reading)
  handle:clearRouteCache()
  local route = handle:metadata()
  return route:get("verdict"), route:get("about")
end

local function of_path(verdict, asked, reading)
  if verdict == "allow" then return nil end
  if verdict == "deny" then return 403, "a rule denies this path" end
  return 403, "no rule allows this path", command(asked.host, reading)
end

local function run(handle, judge)
  local headers = handle:headers()
  local host = (headers:get(":authority") or ""):lower():gsub(":" .. PORT .. "$", "")
  local asked = {host = host, method = headers:get(":method") or "", path = headers:get(":path") or ""}
  -- An error in a script would let the request pass.
  local judged, status, why, allow = pcall(judge, handle, asked)
  if not judged then status, why = 403, "it can't be judged" end
  if status then return refuse(handle, status, asked, why, allow) end
  handle:streamInfo():dynamicMetadata():set("clawker", "verdict", "allow")
end
