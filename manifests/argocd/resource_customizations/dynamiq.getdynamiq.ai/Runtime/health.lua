-- A Runtime never changes, but for deprecated: then rows that name it still run, and new Apps do not get it by default.
if obj.spec.deprecated == true then
  return {status = "Healthy", message = "deprecated: new Apps get another one"}
end
return {status = "Healthy", message = obj.spec.image}
