-- Run by hack/check/monitoring with the engine of Argo CD.
local health = assert(loadfile("monitoring/argocd/health.lua"))

local function condition(type, status, reason)
  return {type = type, status = status, reason = reason, message = type .. " is " .. status}
end

local function object(status, spec)
  return {metadata = {generation = 2}, spec = spec, status = status}
end

local function conditions(...)
  return object({observedGeneration = 2, conditions = {...}})
end

local deleted = conditions(condition("Ready", "True", "Succeeded"))
deleted.metadata.deletionTimestamp = "2026-01-01T00:00:00Z"

-- name, object, status, message
local cases = {
  {"an object without a status", object(nil), "Progressing", "waiting for the first status"},
  {"the default status of the CRD", object({observedGeneration = -1}), "Progressing", "waiting for the first status"},
  {"an edit that was not observed", object({observedGeneration = 1, conditions = {condition("Ready", "True", "Succeeded")}}),
    "Progressing", "waiting for the current spec to be observed"},
  {"a report, which has no observedGeneration", object({conditions = {condition("Ready", "True", "AsExpected")}}), "Healthy", "Ready is True"},
  {"a good scan", conditions(condition("Ready", "True", "Succeeded"), condition("Reconciling", "False", "Succeeded")), "Healthy", "Ready is True"},
  {"a failure that is tried again", conditions(condition("Ready", "False", "Timeout"), condition("Reconciling", "True", "Timeout")),
    "Progressing", "Ready is False"},
  {"a failure that stays", conditions(condition("Ready", "False", "Unauthorized"), condition("Stalled", "True", "Unauthorized")),
    "Degraded", "Ready is False"},
  {"a rollout that waits", conditions(condition("Ready", "False", "RolloutWaiting")), "Progressing", "Ready is False"},
  {"a halted rollout", conditions(condition("Ready", "False", "RolloutHalted")), "Degraded", "Ready is False"},
  {"a guest cluster that does not answer", conditions(condition("Ready", "Unknown", "ConnectionDown")), "Progressing", "Ready is Unknown"},
  {"a paused hosted cluster", conditions(condition("Ready", "Unknown", "Paused")), "Suspended", "Ready is Unknown"},
  {"spec.suspend", object({observedGeneration = 2, conditions = {condition("Ready", "True", "Succeeded")}}, {suspend = true}),
    "Suspended", "spec.suspend is true"},
  {"an object that is being deleted", deleted, "Progressing", "being deleted"},
  {"conditions without Ready", conditions(condition("Held", "True", "AllHeld")), "Progressing", "waiting for the first status"},
}
for _, case in ipairs(cases) do
  obj = case[2]
  local found = health()
  if found.status ~= case[3] or found.message ~= case[4] then
    error(string.format("%s: %s (%s), expected %s (%s)", case[1], found.status, tostring(found.message), case[3], case[4]))
  end
end
print(#cases .. " cases of health.lua: ok")
