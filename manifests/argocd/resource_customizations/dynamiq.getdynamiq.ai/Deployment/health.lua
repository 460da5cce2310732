-- A row of an App's history. One that has ended is history, and Healthy however it ended: a row that failed stays in Git for ever, and what
-- it means for the App the App says. One that waits for a person or for a time is Suspended.
local status = obj.status or {}
local succeeded = {}
for _, each in ipairs(status.conditions or {}) do
  if each.type == "Succeeded" then
    succeeded = each
  end
end

local phase = status.phase
if phase == "Live" then
  return {status = "Healthy", message = "it is what the App serves"}
elseif phase == "Superseded" then
  return {status = "Healthy", message = succeeded.status == "False" and succeeded.message or "it is history"}
elseif phase == "Failed" then
  return {status = "Healthy", message = "it failed, and is history: " .. (succeeded.message or "it did not say why")}
elseif succeeded.status == "False" then
  return {status = "Degraded", message = succeeded.message or ""}
elseif status.waits ~= nil and status.waits.reason ~= "Verifying" then
  return {status = "Suspended", message = status.waits.message}
elseif phase == "Progressing" then
  return {status = "Progressing", message = "it is being deployed"}
end
return {status = "Progressing", message = succeeded.message or ""}
