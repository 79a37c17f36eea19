// Every file of every device, by path.
local fleet = import "fleet.libsonnet";
local sites = import "sites.libsonnet";
local devices = import "devices.libsonnet";
local render = (import "render.libsonnet").render;
local files = { [name]: render(fleet + sites[devices[name].site] + devices[name].own) for name in std.objectFields(devices) };
{ [name + "/" + file]: files[name][file] for name in std.objectFields(files) for file in std.objectFields(files[name]) }
