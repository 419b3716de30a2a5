-- Judges another way in which a server may read the path of a request, the NUMBERth; most have none.

local function judge(handle, asked)
  local reading = handle:streamInfo():dynamicMetadata():get(READINGS)
  reading = reading and reading[tostring(NUMBER)]
  if not reading then return nil end
  return of_path(look_up(handle, reading), asked, reading)
end

function envoy_on_request(handle)
  run(handle, judge)
end
