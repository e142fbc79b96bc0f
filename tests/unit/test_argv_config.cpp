#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <argv_config.hpp>
#include <text.hpp>

using namespace poster;
using nlohmann::json;

TEST_CASE("a command line gives typed values") {
    auto [line, values] = GENERATE(table<std::string, std::string>({
        {"python train.py --lr 0.1", R"({"lr":0.1})"},
        {"python3.11 -u train.py --lr=1e-3 --epochs 10", R"({"lr":0.001,"epochs":10})"},
        {"python -m pkg.train --flag --name x", R"({"flag":true,"name":"x"})"},
        {"./train.sh -v -n 5", R"({"v":true,"n":5})"},
        {"./train.sh -vv", R"({"v":2})"},
        {"a.out --shift -3 --scale -1e-3", R"({"shift":-3,"scale":-0.001})"},
        {"python a.py lr=0.3 +model.size=5 ++x=true", R"({"lr":0.3,"model.size":5,"x":true})"},
        {"prog --a 1 --a 2", R"({"a":[1,2]})"},
        {"prog --debug False --none None", R"({"debug":false,"none":null})"},
        {"prog -- --not-an-option", R"({})"},
        {"prog --zip 01234", R"({"zip":"01234"})"},
        {"prog --big 1_000 --inf inf", R"({"big":"1_000","inf":"inf"})"},
        {"bash -c script", R"({})"},
        {"prog --flag --other", R"({"flag":true,"other":true})"},
        {"prog --flag lr=1", R"({"flag":true,"lr":1})"},
    }));
    CHECK(config_from_argv(split(line, ' '))["values"] == json::parse(values));
}

TEST_CASE("positionals and overrides are kept as they stand") {
    auto config = config_from_argv({"python", "a.py", "data", "3", "lr=0.1", "~drop"});
    CHECK(config["positionals"] == json::parse(R"(["data",3])"));
    CHECK(config["overrides"] == json::parse(R"(["lr=0.1","~drop"])"));
    CHECK(config["source"] == "argv-guess");
}

TEST_CASE("a word keeps its meaning when it becomes a value") {
    auto [word, value] = GENERATE(table<std::string, std::string>({
        {"TRUE", "true"},
        {"fAlse", "false"},
        {"NULL", R"("NULL")"},
        {"none", R"("none")"},
        {"-inf", R"("-inf")"},
        {"-nan", R"("-nan")"},
        {"18446744073709551615", "18446744073709551615"},
        {"123456789012345678901234", R"("123456789012345678901234")"},
        {"-01", R"("-01")"},
        {"1e-3", "0.001"},
        {"-0.5", "-0.5"},
        {"", R"("")"},
    }));
    CAPTURE(word);
    CHECK(typed_value(word).dump() == value);
}

TEST_CASE("the words of an interpreter or a launcher are not the experiment's") {
    auto [line, values, positionals] = GENERATE(table<std::string, std::string, std::string>({
        {"torchrun --nproc_per_node 2 train.py --lr 0.1", R"({"lr":0.1})", "[]"},
        {"torchrun --nproc_per_node=2 --standalone -m pkg.train --lr 0.1 data", R"({"lr":0.1})", R"(["data"])"},
        {"accelerate launch --num_processes 2 train.py --lr 0.1", R"({"lr":0.1})", "[]"},
        {"deepspeed --num_gpus 2 train.py --lr 0.1", R"({"lr":0.1})", "[]"},
        {"python -W ignore -X dev train.py --lr 0.1", R"({"lr":0.1})", "[]"},
        {"python -um pkg.train --lr 0.1", R"({"lr":0.1})", "[]"},
        {"bash -lc script --lr 0.1", R"({"lr":0.1})", "[]"},
        {"bash -e train.sh --lr 0.1", R"({"lr":0.1})", "[]"},
        {"node --inspect train.js --lr 0.1", R"({"lr":0.1})", "[]"},
    }));
    CAPTURE(line);
    auto config = config_from_argv(split(line, ' '));
    CHECK(config["values"] == json::parse(values));
    CHECK(config["positionals"] == json::parse(positionals));
}
