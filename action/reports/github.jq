# Workflow commands, one for each object that was not accepted.
def escaped: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
def property: escaped | gsub(":"; "%3A") | gsub(","; "%2C");
.objects[] | select(.verdict != "accepted")
| "::error title=notme \(.code | property)::\("\(.kind // "object") \(.oid) is \(.verdict)\(if .identity then ", signed by \(.identity)" else "" end)" | escaped)"
