-- An App is Healthy while it serves what it was asked for last. It is Progressing while a deploy is under way, and Suspended while one waits
-- for a person or for a time. It is Degraded where callers are not served, and where the last deploy failed, though an older row serves on.
local status = obj.status or {}
local said = {}
for _, each in ipairs(status.conditions or {}) do
  said[each.type] = each
end

local function health(state, message)
  return {status = state, message = message or ""}
end

local ready, progressing = said.Ready, said.Progressing
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the operator has not seen its current spec yet")
end

if said.ReconcileFailed ~= nil and said.ReconcileFailed.status == "True" then
  return health("Degraded", said.ReconcileFailed.message)
elseif progressing ~= nil and progressing.status == "True" then
  return health("Progressing", progressing.message)
end

-- What a row waits for, as the operator names it.
local waits = {AwaitingApproval = true, Frozen = true, Soaking = true, Held = true, Suspended = true, GuardsUnknown = true}
local is_waiting = progressing ~= nil and waits[progressing.reason] == true

if ready.status ~= "True" then
  if ready.reason == "NotDeployed" and obj.spec.deploy == nil then
    return health("Suspended", ready.message)
  elseif ready.reason == "NotDeployed" then
    return health(is_waiting and "Suspended" or "Progressing", is_waiting and progressing.message or ready.message)
  end
  return health("Degraded", ready.message)
end

if is_waiting then
  return health("Suspended", progressing.message)
elseif progressing ~= nil and progressing.reason ~= "Settled" then
  return health("Degraded", progressing.message)
elseif said.DeploySpecOverridden ~= nil and said.DeploySpecOverridden.status == "True" then
  return health("Healthy", said.DeploySpecOverridden.message)
end
return health("Healthy", ready.message)
