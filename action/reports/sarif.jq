# SARIF 2.1.0: a result for each object that was not accepted. Commits are in no file, so they are
# all said to be in the repository's root.
[.objects[] | select(.verdict != "accepted")] as $refused
| {
    "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [{
      tool: {driver: {name: "notme", rules: ($refused | map(.code) | unique | map({id: .}))}},
      results: ($refused | map({
        ruleId: .code,
        level: (if .verdict == "rejected" then "error" else "warning" end),
        message: {text: "\(.kind // "object") \(.oid) is \(.verdict): \(.code)"},
        partialFingerprints: {"object/v1": .oid},
        locations: [{physicalLocation: {artifactLocation: {uri: "."}}}]
      }))
    }]
  }
