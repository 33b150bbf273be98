// Reads ECS documents, one a line, and holds them against Elastic's own list of fields (npm package @elastic/ecs, whose folder is the
// argument): every field but those under `keywitness` is in it, an array where the list says so, with a value that it allows.
"use strict";
const { EcsFlat: known } = require(`${process.argv[2]}/generated/ecs_flat.js`);
const problems = [];
function check(path, value) {
  const field = known[path];
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, inner] of Object.entries(value)) check(path ? `${path}.${name}` : name, inner);
    return;
  }
  if (!field) return void problems.push(`${path} is no field`);
  if (value === null) return;
  const wantsArray = (field.normalize ?? []).includes("array");
  if (wantsArray !== Array.isArray(value)) problems.push(`${path}: array ${wantsArray}`);
  const allowed = (field.allowed_values ?? []).map((one) => one.name);
  for (const one of [value].flat()) {
    if (allowed.length > 0 && !allowed.includes(one)) problems.push(`${path}: ${one}`);
    const wants = { long: "number", keyword: "string", ip: "string", date: "string" }[field.type];
    if (wants && typeof one !== wants) problems.push(`${path}: ${typeof one} is no ${field.type}`);
  }
}
const lines = require("fs").readFileSync(0, "utf8").trim().split("\n");
for (const line of lines) {
  const { keywitness, ...document } = JSON.parse(line);
  if (!keywitness) problems.push("nothing under keywitness");
  check("", document);
}
console.log(problems.length ? [...new Set(problems)].join("\n") : `${lines.length} fine`);
