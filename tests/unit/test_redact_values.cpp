#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <redact_values.hpp>

using namespace poster;
using nlohmann::json;

TEST_CASE("secrets in nested values go, whatever their type") {
    auto [value, safe] = GENERATE(table<std::string, std::string>({
        {R"({"lr":0.1,"api_key":"abc"})", R"({"lr":0.1,"api_key":"<redacted>"})"},
        {R"({"db":{"password":"abc","port":3306}})", R"({"db":{"password":"<redacted>","port":3306}})"},
        {R"({"db.password":"abc","model.lr":1})", R"({"db.password":"<redacted>","model.lr":1})"},
        {R"({"password":12345678})", R"({"password":"<redacted>"})"},
        {R"({"password":null,"use_auth_token":true})", R"({"password":null,"use_auth_token":true})"},
        {R"({"secrets":{"hf":"abc"}})", R"({"secrets":{"hf":"<redacted>"}})"},
        {R"({"api_keys":["a1","b2"]})", R"({"api_keys":["<redacted>","<redacted>"]})"},
        {R"({"url":"https://me:pw@example.org/x"})", R"({"url":"https://me:<redacted>@example.org/x"})"},
        {R"({"max_tokens":512,"tokenizer":"bpe","sort_key":"loss"})",
         R"({"max_tokens":512,"tokenizer":"bpe","sort_key":"loss"})"},
        {R"({"list":[{"token":"hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"}]})", R"({"list":[{"token":"<redacted>"}]})"},
    }));
    CHECK(redacted_values(Redactor{}, "", json::parse(value)) == json::parse(safe));
}

TEST_CASE("words of a command line are redacted as words") {
    const json words{"--api-key", "abc", "password=x", "lr=1"};
    CHECK(redacted_words(Redactor{}, words) == json{"--api-key", "<redacted>", "password=<redacted>", "lr=1"});
    CHECK(redacted_words(Redactor{}, json{{"token", "hf_x"}}).is_object());
}

TEST_CASE("what is nested too deep is left out") {
    json deep = "x";
    for (int i = 0; i < 150; ++i) deep = json::array({deep});
    CHECK(redacted_values(Redactor{}, "", deep).dump().size() < 150);
}
