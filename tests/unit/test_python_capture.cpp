// The python callback, on a stand-in for an interpreter: what it answers is what the test lays out.

#include <catch2/catch.hpp>

#include "callback_fixture.hpp"

using namespace poster;
using nlohmann::json;

namespace {

// bin/python3 answers with `path` as its sys.path.
void install_python(const CallbackFixture& fixture, const std::string& bin, const json& path) {
    make_directories(fixture.root / bin);
    json answer{{"executable", bin}, {"version", "3.9.1"},  {"implementation", "cpython"},
                {"prefix", "/p"},    {"base_prefix", "/p"}, {"path", path}};
    replace_file(fixture.root / bin / "answer", answer.dump());
    fixture.shell("printf '#!/bin/sh\\ncat \"${0%%/*}/answer\"\\n' > '" + (fixture.root / bin / "python3").string() +
                  "' && chmod +x '" + (fixture.root / bin / "python3").string() + "'");
}

void install_package(const fs::path& file, const std::string& metadata) {
    make_directories(file.parent_path());
    replace_file(file, metadata);
}

std::string packages(CallbackFixture& fixture) {
    fixture.make("python")->on_start(fixture.run);
    return read_file(fixture.run.dir / "code/packages.txt").value_or("nothing");
}

} // namespace

TEST_CASE("each package is listed with its version, whatever form its metadata has") {
    auto [file, metadata, line] = GENERATE(table<std::string, std::string, std::string>({
        {"my_pkg-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: my-pkg\nVersion: 1.2\n\nName: no\n",
         "my-pkg==1.2"},
        {"crlf-1.0.dist-info/METADATA", "Name: crlf\r\nVersion: 1.0\r\n", "crlf==1.0"},
        {"dir-2.0.egg-info/PKG-INFO", "Name: dir\nVersion: 2.0\n", "dir==2.0"},
        {"plain-3.1.egg-info", "Name: plain\nVersion: 3.1\n", "plain==3.1"},
        {"bare-4.0.dist-info/RECORD", "", "bare==4.0"},
        {"old-5.0-py3.9.egg-info/SOURCES.txt", "", "old==5.0"},
        {"develop.egg-info/PKG-INFO", "Name: develop\nVersion: 0.1\n", "develop==0.1"},
    }));
    CallbackFixture fixture({(fs::path("../bin") / "python3").string()});
    install_python(fixture, "bin", json::array({(fixture.root / "site").string()}));
    install_package(fixture.root / "site" / file, metadata);
    CHECK(packages(fixture) == line + "\n");
}

TEST_CASE("of a package that is there twice the one that is imported counts") {
    CallbackFixture fixture({"../bin/python3"});
    install_python(fixture, "bin", json::array({(fixture.root / "a").string(), (fixture.root / "b").string()}));
    install_package(fixture.root / "a/torch_x-2.0.dist-info/METADATA", "Name: torch-x\nVersion: 2.0\n");
    install_package(fixture.root / "b/torch_x-1.0.dist-info/METADATA", "Name: Torch_X\nVersion: 1.0\n");
    CHECK(packages(fixture) == "torch-x==2.0\n");
}

TEST_CASE("the interpreter is looked for on the PATH that the run has") {
    CallbackFixture fixture({"python3"});
    install_python(fixture, "elsewhere", json::array());
    fixture.run.spec.environment = {{"PATH", (fixture.root / "elsewhere").string() + ":/usr/bin:/bin"}};
    SECTION("named by the command") {}
    SECTION("named by the first line of a script") {
        replace_file(fixture.run.spec.cwd / "tool", "#!/usr/bin/env -S python3 -u\n");
        fixture.shell("chmod +x tool");
        fixture.run.spec.argv = {"./tool"};
    }
    packages(fixture);
    CHECK(fixture.record["python"]["executable"] == "elsewhere");
}

TEST_CASE("the interpreter is asked with the variables that the run has") {
    CallbackFixture fixture({"../bin/python3"});
    make_directories(fixture.root / "bin");
    replace_file(fixture.root / "bin/python3",
                 "#!/bin/sh\nprintf '{\"executable\":\"%s\",\"version\":\"3\",\"prefix\":1,"
                 "\"base_prefix\":1,\"path\":[]}' \"$CHOICE\"\n");
    fixture.shell("chmod +x ../bin/python3");
    fixture.run.spec.environment = {{"CHOICE", "mine"}};
    packages(fixture);
    CHECK(fixture.record["python"]["executable"] == "mine");
}

TEST_CASE(
    "packages that the user installed for himself are listed, unless a variable or an environment leaves them out") {
    auto [python, variable, seen] = GENERATE(table<std::string, std::string, bool>(
        {{"python3", "", true}, {"python3", "PYTHONNOUSERSITE", false}, {"../venv/bin/python3", "", false}}));
    CallbackFixture fixture({python});
    fixture.shell("python3 -m venv --without-pip ../venv");
    fixture.shell("PYTHONUSERBASE='" + (fixture.root / "base").string() +
                  "' python3 -c 'import site,os;os.makedirs(site.getusersitepackages()+\"/mine_x-7.dist-info\")'");
    fixture.run.spec.environment = {{"PYTHONUSERBASE", (fixture.root / "base").string()}};
    if (!variable.empty()) fixture.run.spec.environment.emplace_back(variable, "1");
    CAPTURE(python, variable);
    CHECK((packages(fixture).find("mine_x==7") != std::string::npos) == seen);
}

TEST_CASE("an interpreter that does not answer is no error") {
    auto body = GENERATE(as<std::string>{}, "exit 1", "echo '[]'", "echo '{}'", "echo '{\"path\": 3}'");
    CallbackFixture fixture({"../bin/python3"});
    make_directories(fixture.root / "bin");
    replace_file(fixture.root / "bin/python3", "#!/bin/sh\n" + body + "\n");
    fixture.shell("chmod +x ../bin/python3");
    CHECK_NOTHROW(fixture.make("python")->on_start(fixture.run));
    CHECK(fixture.record["python"].contains("error"));
}
