# cmake -DOUT=FILE.c -DNAME=symbol -DIN="a.sql;b.sql" -P embed.cmake
# Writes the files as one table of texts, in the order given: schema/0001 is element 0.
set(texts "")
set(rows "")
set(n 0)
foreach(file ${IN})
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  get_filename_component(base ${file} NAME)
  string(APPEND texts "/* ${base} */\nstatic const unsigned char text_${n}[] = {\n    ${hex}0x00};\n\n")
  string(APPEND rows "(const char *)text_${n}, ")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT} "#include \"coordinator/store/schema.h\"\n\n${texts}"
  "const char *const ${NAME}[] = {${rows}0};\nconst unsigned ${NAME}_count = ${n};\n")
