# One line for each object that was not accepted, and the sums.
(.objects[] | select(.verdict != "accepted") | "\(.verdict) \(.code) \(.oid) \(.identity // "")"),
(.summary | "\(.objects) judged: \(.accepted) accepted, \(.rejected) rejected, \(.undecided) undecided")
