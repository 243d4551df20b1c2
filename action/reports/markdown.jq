# Markdown for the page of the run.
def cell: tostring | gsub("\\|"; "\\|") | gsub("[\r\n]"; " ");
"## notme\n",
(.summary | "\(.objects) judged: \(.accepted) accepted, \(.rejected) rejected, \(.undecided) undecided\n"),
(if .objects == [] then empty else "| object | verdict | code | who | time basis |\n|---|---|---|---|---|" end),
(.objects[] | "| \(.oid[:10]) | \(.verdict) | \(.code // "" | cell) | \(.identity // "" | cell) | \(.time_basis // "" | cell) |")
