#include <catch2/catch.hpp>

#include <random>

#include <telegram.hpp>

using namespace poster;

namespace {

// Every tag that is opened is closed, in the right order.
bool is_balanced(std::string_view html) {
    std::vector<std::string> open;
    while (true) {
        const auto begin = html.find('<');
        if (begin == std::string_view::npos) return open.empty();
        const auto end = html.find('>', begin);
        if (end == std::string_view::npos) return false;
        std::string name(html.substr(begin + 1, end - begin - 1));
        html.remove_prefix(end + 1);
        if (name.starts_with('/')) {
            if (open.empty() || open.back() != name.substr(1)) return false;
            open.pop_back();
        } else {
            open.push_back(name.substr(0, name.find(' ')));
        }
    }
}

} // namespace

TEST_CASE("a text of Telegram's HTML is cut at lines, else words, else characters") {
    auto [html, limit, parts] = GENERATE(table<std::string, std::size_t, std::vector<std::string>>({
        {"", 10, {}},
        {" \n ", 10, {}},
        {"short", 10, {"short"}},
        {"exactly 10", 10, {"exactly 10"}},
        {"one\ntwo\nthree", 8, {"one\ntwo", "three"}},
        {"one two three", 8, {"one two", "three"}},
        {"onetwothree", 4, {"onet", "woth", "ree"}},
        {"a&amp;b&lt;c", 3, {"a&amp;b", "&lt;c"}},
        {"&amp;&amp;&amp;", 1, {"&amp;", "&amp;", "&amp;"}},
        {"😀😀😀", 4, {"😀😀", "😀"}},     // two units each
        {"😀😀😀", 3, {"😀", "😀", "😀"}}, // never half of one
        {"üüü", 2, {"üü", "ü"}},
        {"<b>one two</b>", 4, {"<b>one</b>", "<b>two</b>"}},
        {"<pre>a\nb\nc</pre>", 3, {"<pre>a\nb</pre>", "<pre>c</pre>"}},
        {"x <b><i>y z</i></b>", 3, {"x <b><i>y</i></b>", "<b><i>z</i></b>"}},
        {"<b>abc</b>", 3, {"<b>abc</b>"}}, // a closing tag takes no room
        {"<a href=\"u\">one two</a>", 4, {"<a href=\"u\">one</a>", "<a href=\"u\">two</a>"}},
        {"a & b", 10, {"a & b"}},
    }));
    INFO(html);
    CHECK(split_telegram_html(html, limit) == parts);
}

TEST_CASE("no part shows more than the limit, and together they show all of it") {
    std::mt19937 random(42);
    const char* const kPieces[] = {"a", "word ", "\n", "&amp;", "&lt;", "😀", "ü", "long-word-without-a-blank", " "};
    for (int round = 0; round < 200; ++round) {
        std::string html, shown;
        bool open = false;
        for (int i = 0; i < 300; ++i) {
            if (random() % 20 == 0) {
                html += open ? "</pre>" : "<pre>";
                open = !open;
            }
            html += kPieces[random() % std::size(kPieces)];
        }
        if (open) html += "</pre>";
        const std::size_t limit = 5 + random() % 60;
        for (const auto& part : split_telegram_html(html, limit)) {
            REQUIRE(shown_units(part) <= limit);
            REQUIRE(is_balanced(part));
            shown += without_tags(part);
        }
        const auto no_space = [](std::string text) {
            std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
            return text;
        };
        REQUIRE(no_space(shown) == no_space(without_tags(html)));
    }
}

TEST_CASE("what the Bot API answers means that it arrived, passes, or wants somebody") {
    using State = Delivery::State;
    const auto refused = [](int code, const std::string& description) {
        return R"({"ok":false,"error_code":)" + std::to_string(code) + R"(,"description":")" + description + "\"}";
    };
    auto [status, body, state, receipt_or_help] = GENERATE_COPY(table<int, std::string, State, std::string>({
        {200, R"({"ok":true,"result":{"message_id":17}})", State::delivered, "17"},
        {401, refused(401, "Unauthorized"), State::failed, "@BotFather"},
        {404, refused(404, "Not Found"), State::failed, "telegram.token is whole"},
        {400, refused(400, "Bad Request: chat not found"), State::failed, "send the bot a message first"},
        {403, refused(403, "Forbidden: bot was blocked by the user"), State::failed, "unblock the bot"},
        {403, refused(403, "Forbidden: bot is not a member of the channel chat"), State::failed, "add the bot"},
        {400, refused(400, "Bad Request: message is too long"), State::failed, ""},
        {500, refused(500, "Internal Server Error"), State::retry, ""},
        {502, "<html>Bad Gateway</html>", State::retry, ""},
        {404, "<html>no such page</html>", State::retry, ""}, // of something in between
        {200, "not JSON", State::retry, ""},
    }));
    INFO(body);
    const Delivery delivery = telegram_delivery(status, body, {});
    CHECK(delivery.state == state);
    CHECK((delivery.receipt + delivery.help).find(receipt_or_help) != std::string::npos);
    CHECK(delivery.error.empty() == (state == State::delivered));
}

TEST_CASE("Telegram says when to come again") {
    const std::string body =
        R"({"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}})";
    const Delivery delivery = telegram_delivery(429, body, Milliseconds{1000});
    CHECK(delivery.state == Delivery::State::retry);
    CHECK(delivery.retry_after == Milliseconds{7000});
    CHECK(telegram_delivery(429, "", Milliseconds{1000}).retry_after == Milliseconds{1000}); // by the header alone
}

TEST_CASE("the new id of a chat that moved is told") {
    const std::string body = R"({"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a )"
                             R"(supergroup chat","parameters":{"migrate_to_chat_id":-1001}})";
    CHECK(telegram_delivery(400, body, {}).help == "set telegram.chat to the new id: -1001");
}
