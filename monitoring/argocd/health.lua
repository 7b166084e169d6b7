-- The health of hypermirror's objects for Argo CD, one script for all kinds: each has the condition Ready. hack/check/monitoring
-- --write copies it into argocd-cm.yaml.
local hs = {status = "Progressing", message = "waiting for the first status"}
if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "being deleted"
  return hs
end
if obj.spec ~= nil and obj.spec.suspend == true then
  hs.status, hs.message = "Suspended", "spec.suspend is true"
  return hs
end
local status = obj.status
if status == nil or status.conditions == nil then
  return hs
end
if status.observedGeneration ~= nil and status.observedGeneration < (obj.metadata.generation or 0) then
  hs.message = "waiting for the current spec to be observed"
  return hs
end
-- Reasons that end without anybody's action.
local waits = {
  KubeconfigMissing = true, Leaving = true, NodesUpdating = true, RolloutWaiting = true, TargetsMissing = true, Updating = true,
}
local of = {}
for _, condition in ipairs(status.conditions) do
  of[condition.type] = condition
end
local ready = of.Ready
if ready == nil then
  return hs
end
hs.message = ready.message
if ready.status == "True" then
  hs.status = "Healthy"
elseif ready.reason == "Paused" or ready.reason == "Suspended" then
  hs.status = "Suspended"
elseif of.Reconciling ~= nil and of.Reconciling.status == "True" or waits[ready.reason] then
  hs.status = "Progressing"
elseif ready.status == "False" then
  hs.status = "Degraded"
end
return hs
