# Adds up the closing lines of the runners in one log: cargo test, Common Test under rebar3, unittest, ExUnit,
# and plain "N passed, N failed".
/^test result:/ { passed += $4; failed += $6; skipped += $8 }
/^All [0-9]+ tests passed/ { passed += $2 }
/^(Failed|Skipped|Passed) [0-9]+ / {
    if (match($0, /Failed [0-9]+/)) failed += substr($0, RSTART + 7, RLENGTH - 7)
    if (match($0, /Skipped [0-9]+/)) skipped += substr($0, RSTART + 8, RLENGTH - 8)
    if (match($0, /Passed [0-9]+/)) passed += substr($0, RSTART + 7, RLENGTH - 7)
}
/^Ran [0-9]+ tests? in/ { ran += $2 }
/^(OK|FAILED)( \(|$)/ {
    if (match($0, /failures=[0-9]+/)) bad += substr($0, RSTART + 9, RLENGTH - 9)
    if (match($0, /errors=[0-9]+/)) bad += substr($0, RSTART + 7, RLENGTH - 7)
    if (match($0, /skipped=[0-9]+/)) left += substr($0, RSTART + 8, RLENGTH - 8)
}
/^([0-9]+ doctests?, )?[0-9]+ tests?, [0-9]+ failures?/ {
    for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^(doctests?|tests?),/) ran += $i
        if ($(i + 1) ~ /^failures?/) bad += $i
        if ($(i + 1) ~ /^(skipped|excluded)/) left += $i
    }
}
/^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3 }
END {
    printf "%s: %d passed, %d failed, %d skipped\n", name, passed + ran - bad - left, failed + bad, skipped + left
}
