#include <catch2/catch.hpp>

#include <error.hpp>
#include <mime.hpp>
#include <text.hpp>

using namespace poster;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = text.find("\r\n", begin);
        lines.push_back(text.substr(begin, end - begin));
        if (end == std::string::npos) break;
        begin = end + 2;
    }
    return lines;
}

MailText plain_mail() {
    MailText mail;
    mail.from = "Poster <poster@example.org>";
    mail.to = {"anna@example.org", "Jörg Müller <j@example.com>"};
    mail.subject = "base-1: finished";
    mail.message_id = message_id_of("key", mail.from);
    mail.thread = message_id_of("run", mail.from);
    mail.date = WallTime{Milliseconds{1'764'090'000'000}};
    mail.text = "all is well\n";
    return mail;
}

} // namespace

TEST_CASE("quoted-printable keeps lines short and says what is not plain") {
    auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"", ""},
        {"plain", "plain\r\n"},
        {"a\nb\n", "a\r\nb\r\n"},
        {"a\r\nb\r\n", "a\r\nb\r\n"},
        {"1 = 1", "1 =3D 1\r\n"},
        {"grün", "gr=C3=BCn\r\n"},
        {"blank \n", "blank=20\r\n"},
        {"tab\t\n", "tab=09\r\n"},
        {"a\rb", "a=0Db\r\n"},
        {std::string("\0", 1), "=00\r\n"},
        {".\n", ".\r\n"}, // the transport doubles it
        {std::string(80, 'x'), std::string(75, 'x') + "=\r\n" + std::string(5, 'x') + "\r\n"},
    }));
    CHECK(quoted_printable(text) == expected);
}

TEST_CASE("base64 is as RFC 4648 has it, in lines of 76") {
    auto [bytes, expected] = GENERATE(table<std::string, std::string>(
        {{"", ""}, {"f", "Zg==\r\n"}, {"fo", "Zm8=\r\n"}, {"foo", "Zm9v\r\n"}, {"foobar", "Zm9vYmFy\r\n"}}));
    CHECK(base64(bytes) == expected);
    for (const auto& line : lines_of(base64(std::string(1000, 'x')))) CHECK(line.size() <= 76);
}

TEST_CASE("a header beyond plain ASCII is encoded in words of at most 75 characters") {
    CHECK(encode_header("plain", 9) == "plain");
    CHECK(encode_header("grün", 9) == "=?UTF-8?B?Z3LDvG4=?=");
    CHECK(encode_header("=?UTF-8?B?eA==?=", 9).starts_with("=?UTF-8?B?PT9")); // what looks encoded is none
    std::string long_text;
    for (int i = 0; i < 60; ++i) long_text += "ü😀";
    auto lines = lines_of("Subject: " + encode_header(long_text, 9));
    CHECK(lines.size() > 3);
    for (const auto& line : lines) CHECK(line.size() <= 76);
    for (std::size_t i = 1; i < lines.size(); ++i) CHECK(lines[i].starts_with(" =?UTF-8?B?"));
}

TEST_CASE("an address is taken or refused") {
    auto [mailbox, address] = GENERATE(table<std::string, std::string>({
        {"a@b", "a@b"},
        {"Anna <anna@example.org>", "anna@example.org"},
        {"\"Müller, Anna\" <anna@example.org>", "anna@example.org"},
        {"anna+poster@example.org", "anna+poster@example.org"},
        {"", ""},
        {"anna", ""},
        {"@example.org", ""},
        {"anna@", ""},
        {"a@b@c", ""},
        {"a b@c", ""},
        {"<a@b", ""},
        {"a@b>\r\nRSET", ""},
        {"Anna\r\nBcc: x@y <a@b>", ""},
        {"a@b\n", ""},
        {std::string("a@b\0c", 5), ""},
        {"jörg@example.org", ""},
        {"a@b,c@d", ""},
    }));
    INFO(mailbox);
    if (address.empty())
        CHECK_THROWS_AS(mail_address(mailbox), Error);
    else
        CHECK(mail_address(mailbox) == address);
}

TEST_CASE("no header can be smuggled in") {
    MailText mail = plain_mail();
    SECTION("by the subject") {
        mail.subject = "x\r\nBcc: all@example.org";
    }
    SECTION("by the sender") {
        mail.from = "x\nBcc: y <a@b>";
    }
    SECTION("by a recipient") {
        mail.to.push_back("c@d\r\nX: y");
    }
    SECTION("by nobody to get it") {
        mail.to.clear();
    }
    CHECK_THROWS_AS(mime_message(mail), Error);
}

TEST_CASE("a mail has the headers that a machine's mail should have") {
    const std::string message = mime_message(plain_mail());
    for (const char* line :
         {"Date: Tue, 25 Nov 2025 17:00:00 +0000\r\n", "From: \"Poster\" <poster@example.org>\r\n",
          "To: anna@example.org,\r\n =?UTF-8?B?SsO2cmcgTcO8bGxlcg==?= <j@example.com>\r\n",
          "Subject: base-1: finished\r\n", "Auto-Submitted: auto-generated\r\n", "MIME-Version: 1.0\r\n",
          "Content-Transfer-Encoding: quoted-printable\r\n\r\nall is well\r\n"})
        CHECK(message.find(line) != std::string::npos);
    CHECK(message.find("Message-ID: <poster.") != std::string::npos);
    CHECK(message.find("@example.org>\r\nReferences: <poster.") != std::string::npos);
    CHECK(mime_message(plain_mail()) == message); // a repeat is the same mail
}

TEST_CASE("whatever is in a mail, its lines are short and of seven bits") {
    MailText mail = plain_mail();
    mail.subject = "größer als je: " + std::string(200, 'x');
    mail.text = std::string(2000, 'y') + "\n" + std::string(300, '=') + "\x7f\x01 ü\n.\n";
    mail.html = "<p>" + mail.text + "</p>";
    mail.attachments = {
        {"plot.png", "image/png", std::string(5000, '\xff')},
        {"Übersicht \"1\" – sehr langer Name, der über eine Zeile hinausgeht und noch weiter.png", "image/png", "x"}};
    const std::string message = mime_message(mail);
    for (const auto& line : lines_of(message)) {
        CHECK(line.size() <= 110); // of a file name that is repeated in ASCII; RFC 5322 allows 998
        for (const unsigned char c : line) CHECK((c == '\t' || (c >= 0x20 && c < 0x7f)));
    }
    CHECK(message.find("filename=\"plot.png\"") != std::string::npos);
    CHECK(message.find("filename*0*=UTF-8''%C3%9Cbersicht%20%221%22") != std::string::npos);
}
