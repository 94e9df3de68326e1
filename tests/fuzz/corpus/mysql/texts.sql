UPDATE `t``x` SET a = 'it\'s' "b""c" /* x */ -- y
 , b = N'z' -- ', c = x'41' + 0x41 + b'01' WHERE c --1 = .5e-3 AND d->>'$.a' LIKE 'a\_' # end