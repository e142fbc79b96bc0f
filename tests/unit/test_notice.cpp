#include <catch2/catch.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <notice.hpp>

using namespace poster;
using nlohmann::json;

namespace {

json facts_of_failure() {
    return {{"kind", "end"},
            {"id", "20261123-070213-k7qd"},
            {"name", "base-1"},
            {"attempt", 1},
            {"host", "node1"},
            {"command", "python train.py --lr 0.1"},
            {"place", "/store/runs/20261123-070213-k7qd"},
            {"time", 1764090000.5},
            {"status", "failed"},
            {"reason", "failed with exit code 1 after 3m 20s"},
            {"duration_s", 200.0},
            {"error", "ValueError: a < b & c"},
            {"metrics", {{"acc", {{"value", 0.75}, {"step", 10}}}, {"loss", {{"value", 0.123456}, {"step", 10}}}}},
            {"lines_of", "stderr"},
            {"lines", {"Traceback <most recent>", "ValueError: a < b & c"}}};
}

} // namespace

TEST_CASE("what happened is the headline") {
    auto [facts, expected] = GENERATE(table<json, std::string>({
        {facts_of_failure(), "❌ base-1: failed with exit code 1 after 3m 20s"},
        {{{"kind", "end"}, {"id", "ID"}, {"status", "finished"}, {"reason", "finished in 3.2s"}},
         "✅ ID: finished in 3.2s"},
        {{{"kind", "start"}, {"id", "ID"}}, "▶️ ID: started"},
        {{{"kind", "metric"}, {"id", "ID"}, {"condition", "val_loss > 10"}}, "📈 ID: val_loss > 10"},
        {{{"kind", "message"}, {"id", "ID"}, {"level", "error"}, {"text", "no"}}, "⚠️ ID: error logged"},
        {{{"kind", "stalled"}, {"id", "ID"}, {"silent_s", 1805.0}}, "💤 ID: silent for 30m 5s"},
        {{{"kind", "notify"}, {"id", "ID"}, {"name", "two\nlines"}}, "💬 two lines"},
        {{{"kind", "image"}, {"id", "ID"}, {"image", {{"name", "samples"}, {"step", 10}}}}, "🖼 ID: samples, step 10"},
        {{{"kind", "test"}, {"host", "node1"}}, "👋 A test message of poster on node1"},
        {{{"kind", "summary"},
          {"group", "G"},
          {"runs", {{{"status", "finished"}}, {{"status", "failed"}, {"id", "X"}, {"reason", "no"}}}}},
         "❌ G: 1 of 2 runs finished"},
        {json::object(), ""},
    }));
    CHECK(headline(notice_of(facts)) == expected);
}

TEST_CASE("the text of a mail says all that is known") {
    CHECK(as_text(notice_of(facts_of_failure())) == R"(base-1: failed with exit code 1 after 3m 20s

Error:     ValueError: a < b & c
Metrics:   acc 0.75, loss 0.1235 (step 10)
Host:      node1
Time:      2025-11-25 17:00:00 UTC
Command:   python train.py --lr 0.1
Directory: /store/runs/20261123-070213-k7qd

The last lines of stderr:

    Traceback <most recent>
    ValueError: a < b & c
)");
}

TEST_CASE("Telegram's HTML escapes what the run says") {
    CHECK(as_telegram_html(notice_of(facts_of_failure())) ==
          "<b>❌ base-1: failed with exit code 1 after 3m 20s</b>\n"
          "Error: <code>ValueError: a &lt; b &amp; c</code>\n"
          "Metrics: acc 0.75, loss 0.1235 (step 10)\n"
          "Host: node1\n"
          "Time: 2025-11-25 17:00:00 UTC\n"
          "Command: <code>python train.py --lr 0.1</code>\n"
          "Directory: <code>/store/runs/20261123-070213-k7qd</code>\n"
          "The last lines of stderr:\n"
          "<pre>Traceback &lt;most recent&gt;\nValueError: a &lt; b &amp; c</pre>");
}

TEST_CASE("a mail's HTML escapes quotes, too") {
    json facts = facts_of_failure();
    facts["name"] = "<script>\"x\"</script>";
    const std::string html = as_html(notice_of(facts));
    CHECK(html.find("<script>") == std::string::npos);
    CHECK(html.find("&lt;script&gt;&quot;x&quot;&lt;/script&gt;: failed") != std::string::npos);
}

TEST_CASE("the step is said once for the metrics that share it") {
    auto [metrics, expected] = GENERATE(table<json, std::string>({
        {{{"a", {{"value", 1}, {"step", 5}}}}, "a 1 (step 5)"},
        {{{"a", {{"value", 1}, {"step", 5}}}, {"b", {{"value", 2.5}, {"step", 5}}}}, "a 1, b 2.5 (step 5)"},
        {{{"a", {{"value", 1}, {"step", 5}}}, {"b", {{"value", 2}, {"step", 6}}}}, "a 1 (step 5), b 2 (step 6)"},
        {{{"a", {{"value", "NaN"}, {"step", nullptr}}}}, "a NaN"},
    }));
    const auto rows = notice_of({{"kind", "metric"}, {"metrics", metrics}}).rows;
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].value == expected);
}

TEST_CASE("a summary counts its runs and names those that did not finish") {
    json runs = json::array();
    for (int i = 0; i < 20; ++i)
        runs.push_back(
            {{"id", fmt::format("id-{}", i)}, {"status", i < 7 ? "finished" : "failed"}, {"reason", "exit code 1"}});
    const Notice notice = notice_of({{"kind", "summary"}, {"group", "G"}, {"duration_s", 60.0}, {"runs", runs}});
    CHECK(notice.title == "G: 7 of 20 runs finished");
    CHECK(notice.text.starts_with("• id-7: exit code 1\n• id-8: "));
    CHECK(notice.text.ends_with("• id-16: exit code 1\n… and 3 more"));
    CHECK(notice.rows[0] == Notice::Row{"Runs", "13 failed, 7 finished", false});
    CHECK(notice.rows.back() == Notice::Row{"List", "poster ls --group G", true});
}

TEST_CASE("how many messages were left out is said below") {
    CHECK(notice_of({{"kind", "message"}, {"left_out", 37}}).footnote == "37 more such messages were not sent");
}
