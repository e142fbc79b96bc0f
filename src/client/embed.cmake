# Writes OUTPUT, a C++ file that holds the content of each of FILES below ROOT, and a digest of all of them.
#   cmake -DROOT=… "-DFILES=a;b" -DOUTPUT=… -P embed.cmake
set(arrays "")
set(entries "")
set(sums "")
set(number 0)
foreach(file IN LISTS FILES)
  file(READ ${ROOT}/${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char file_${number}[] = {${bytes}0};\n")
  string(APPEND entries "    {\"${file}\", {reinterpret_cast<const char*>(file_${number}), sizeof file_${number} - 1}},\n")
  file(SHA256 ${ROOT}/${file} sum)
  string(APPEND sums "${file} ${sum}\n")
  math(EXPR number "${number} + 1")
endforeach()
string(SHA256 digest "${sums}")
string(SUBSTRING ${digest} 0 16 digest)
file(WRITE ${OUTPUT} "// Made by embed.cmake.
#include <client_files.hpp>

namespace poster {

namespace {

${arrays}
const ClientFile kFiles[] = {
${entries}};

} // namespace

std::span<const ClientFile> client_files() {
    return kFiles;
}

const std::string& client_digest() {
    static const std::string digest = \"${digest}\";
    return digest;
}

} // namespace poster
")
