-- A release never changes and nothing becomes of it: it is there.
return {status = "Healthy", message = obj.spec.workflow .. " " .. obj.spec.version}
