#include "notice.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <poster/run.hpp>
#include <records.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kCommandColumns = 300;
constexpr std::size_t kMostFailed = 10; // runs of a summary that are named

std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
    return text;
}

std::string number_text(const json& value) {
    if (value.is_number_float()) {
        constexpr double kLarge = 1'000, kHuge = 1e7;
        const auto number = value.get<double>();
        const double size = std::abs(number);
        if (size < kHuge && std::trunc(number) == number) return fmt::format("{:.0f}", number);
        return size >= kLarge && size < kHuge ? fmt::format("{:.1f}", number) : fmt::format("{:.4g}", number);
    }
    return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string duration_text(const json& record, const char* key) {
    const auto seconds = number_of(record, key);
    return seconds ? format_duration(Milliseconds(long(*seconds * 1000))) : "";
}

// A message may arrive long after what it tells of.
std::string time_text(const json& facts) {
    const auto seconds = number_of(facts, "time");
    if (!seconds) return {};
    std::string text = iso8601(WallTime{Milliseconds{long(*seconds) * 1000}}); // 2026-11-23T07:02:13.000Z
    constexpr std::size_t kDate = 10, kTime = 8;
    return text.substr(0, kDate) + " " + text.substr(kDate + 1, kTime) + " UTC";
}

// What people call it.
std::string name_of(const json& facts) {
    const std::string name = text_of(facts, "name");
    return one_line(name.empty() ? text_of(facts, "id") : name);
}

std::string mark_of(const std::string& kind, const std::string& status) {
    static const std::map<std::string, std::string> kMarks{
        {"start", "▶️"},    {"metric", "📈"},   {"message", "⚠️"},   {"stalled", "💤"}, {"notify", "💬"},
        {"image", "🖼"},   {"test", "👋"},     {"finished", "✅"}, {"failed", "❌"},  {"killed", "🛑"},
        {"timeout", "⏰"}, {"preempted", "⏏️"}, {"lost", "❓"}};
    const auto found = kMarks.find(kind == "end" || kind == "summary" ? status : kind);
    return found == kMarks.end() ? "" : found->second;
}

std::string metrics_text(const json& facts) {
    std::string text;
    std::string step_of_last;
    for (const auto& [name, point] : member(facts, "metrics").items()) {
        const json& step = member(point, "step");
        const std::string at = step.is_number() ? step.dump() : "";
        // The step once for all that share it.
        if (!text.empty())
            text += at == step_of_last || step_of_last.empty() ? ", " : fmt::format(" (step {}), ", step_of_last);
        text += fmt::format("{} {}", one_line(name), number_text(member(point, "value")));
        step_of_last = at;
    }
    if (!step_of_last.empty()) text += fmt::format(" (step {})", step_of_last);
    if (const auto more = number_of(facts, "more_metrics"); more && *more > 0)
        text += fmt::format(" and {} more", long(*more));
    return text;
}

std::string command_text(const json& facts) {
    return shorten(one_line(text_of(facts, "command")), kCommandColumns);
}

class Writer {
public:
    explicit Writer(const json& facts) : facts_(facts), kind_(text_of(facts, "kind")) {
        notice_.mark = mark_of(kind_, status());
        notice_.title = title();
        notice_.text = text();
    }

    Notice write() {
        if (kind_ == "summary") return summary();
        if (kind_ == "end") row("Error", text_of(facts_, "error"), true);
        row("Metrics", metrics_text(facts_));
        if (kind_ != "image") about_run();
        for (const auto& line : member(facts_, "lines"))
            if (line.is_string()) notice_.lines.push_back(line.get<std::string>());
        notice_.lines_title = fmt::format("The last lines of {}", text_of(facts_, "lines_of"));
        if (const auto more = number_of(facts_, "left_out"); more && *more > 0)
            notice_.footnote = fmt::format("{} more such messages were not sent", long(*more));
        return notice_;
    }

private:
    void row(const char* label, std::string value, bool is_code = false) {
        if (!value.empty()) notice_.rows.push_back({label, one_line(std::move(value)), is_code});
    }

    std::string status() const {
        if (kind_ != "summary") return text_of(facts_, "status");
        for (const auto& run : member(facts_, "runs"))
            if (text_of(run, "status") != "finished") return "failed";
        return "finished";
    }

    std::string title() const {
        std::string name = name_of(facts_);
        if (kind_ == "start") return fmt::format("{}: started", name);
        if (kind_ == "end") return fmt::format("{}: {}", name, one_line(text_of(facts_, "reason")));
        if (kind_ == "metric") return fmt::format("{}: {}", name, one_line(text_of(facts_, "condition")));
        if (kind_ == "message") return fmt::format("{}: {} logged", name, text_of(facts_, "level"));
        if (kind_ == "stalled") return fmt::format("{}: silent for {}", name, duration_text(facts_, "silent_s"));
        if (kind_ == "image") return fmt::format("{}: {}", name, image_title());
        if (kind_ == "summary") return summary_title();
        if (kind_ == "test") return fmt::format("A test message of poster on {}", text_of(facts_, "host"));
        return name;
    }

    std::string text() const { return text_of(facts_, kind_ == "image" ? "caption" : "text"); }

    std::string image_title() const {
        const json& image = member(facts_, "image");
        const json& step = member(image, "step");
        return one_line(text_of(image, "name")) + (step.is_number() ? fmt::format(", step {}", step.dump()) : "");
    }

    void about_run() {
        if (const auto attempt = number_of(facts_, "attempt"); attempt && *attempt > 1)
            row("Attempt", fmt::format("{}", long(*attempt)));
        row("Group", text_of(facts_, "group"));
        if (kind_ != "test") row("Host", text_of(facts_, "host"));
        row("Time", time_text(facts_));
        row("Command", command_text(facts_), true);
        for (const auto& copy : member(facts_, "copies"))
            if (copy.is_string()) row("Copy", copy.get<std::string>(), true);
        row("Directory", text_of(facts_, "place"), true);
    }

    // ---- a summary

    std::string summary_title() const {
        std::size_t finished = 0;
        const json& runs = member(facts_, "runs");
        for (const auto& run : runs) finished += text_of(run, "status") == "finished" ? 1 : 0;
        return fmt::format("{}: {} of {} runs finished", one_line(text_of(facts_, "group")), finished, runs.size());
    }

    Notice summary() {
        std::map<std::string, std::size_t> counts;
        std::size_t named = 0, unnamed = 0;
        for (const auto& run : member(facts_, "runs")) {
            const std::string status = text_of(run, "status");
            ++counts[status];
            if (status == "finished") continue;
            if (++named > kMostFailed)
                ++unnamed;
            else
                notice_.text += fmt::format("{}• {}: {}", notice_.text.empty() ? "" : "\n", name_of(run),
                                            one_line(text_of(run, "reason")));
        }
        if (unnamed > 0) notice_.text += fmt::format("\n… and {} more", unnamed);
        std::string words;
        for (const auto& [status, count] : counts)
            words += fmt::format("{}{} {}", words.empty() ? "" : ", ", count, status);
        row("Runs", words);
        row("Duration", duration_text(facts_, "duration_s"));
        row("Host", text_of(facts_, "host"));
        row("Time", time_text(facts_));
        row("List", fmt::format("poster ls --group {}", shell_quote(text_of(facts_, "group"))), true);
        return notice_;
    }

    const json& facts_;
    std::string kind_;
    Notice notice_;
};

std::string escape(std::string_view text, bool quotes) {
    std::string escaped;
    for (const char c : text) {
        if (c == '&')
            escaped += "&amp;";
        else if (c == '<')
            escaped += "&lt;";
        else if (c == '>')
            escaped += "&gt;";
        else if (c == '"' && quotes)
            escaped += "&quot;";
        else
            escaped += c;
    }
    return escaped;
}

std::string joined(const std::vector<std::string>& lines) {
    return fmt::format("{}", fmt::join(lines, "\n"));
}

} // namespace

Notice notice_of(const json& facts) {
    return Writer(facts).write();
}

std::string headline(const Notice& notice) {
    return notice.mark.empty() ? notice.title : notice.mark + " " + notice.title;
}

std::string html_escape(std::string_view text) {
    return escape(text, false);
}

std::string as_text(const Notice& notice) {
    std::string text = notice.title + "\n";
    if (!notice.text.empty()) text += "\n" + notice.text + "\n";
    std::size_t width = 0;
    for (const auto& row : notice.rows) width = std::max(width, display_width(row.label));
    if (!notice.rows.empty()) text += "\n";
    for (const auto& row : notice.rows)
        text += fmt::format("{}:{} {}\n", row.label, std::string(width - display_width(row.label), ' '), row.value);
    if (!notice.lines.empty()) {
        text += "\n" + notice.lines_title + ":\n\n";
        for (const auto& line : notice.lines) text += "    " + line + "\n";
    }
    if (!notice.footnote.empty()) text += "\n" + notice.footnote + "\n";
    return text;
}

std::string as_html(const Notice& notice) {
    std::string html = "<!DOCTYPE html>\n<html><body style=\"font-family:sans-serif\">\n";
    html += fmt::format("<h3>{}</h3>\n", escape(headline(notice), true));
    if (!notice.text.empty())
        html += fmt::format("<p style=\"white-space:pre-wrap\">{}</p>\n", escape(notice.text, true));
    if (!notice.rows.empty()) html += "<table>\n";
    for (const auto& row : notice.rows) {
        const std::string value = escape(row.value, true);
        html += fmt::format("<tr><td style=\"padding-right:1em;vertical-align:top\">{}</td><td>{}</td></tr>\n",
                            escape(row.label, true), row.is_code ? "<code>" + value + "</code>" : value);
    }
    if (!notice.rows.empty()) html += "</table>\n";
    if (!notice.lines.empty())
        html += fmt::format("<p>{}:</p>\n<pre style=\"white-space:pre-wrap\">{}</pre>\n",
                            escape(notice.lines_title, true), escape(joined(notice.lines), true));
    if (!notice.footnote.empty()) html += fmt::format("<p>{}</p>\n", escape(notice.footnote, true));
    return html + "</body></html>\n";
}

std::string as_telegram_html(const Notice& notice) {
    std::string html = fmt::format("<b>{}</b>", html_escape(headline(notice)));
    if (!notice.text.empty()) html += "\n" + html_escape(notice.text);
    for (const auto& row : notice.rows) {
        const std::string value = html_escape(row.value);
        html += fmt::format("\n{}: {}", html_escape(row.label), row.is_code ? "<code>" + value + "</code>" : value);
    }
    if (!notice.lines.empty())
        html += fmt::format("\n{}:\n<pre>{}</pre>", html_escape(notice.lines_title), html_escape(joined(notice.lines)));
    if (!notice.footnote.empty()) html += "\n<i>" + html_escape(notice.footnote) + "</i>";
    return html;
}

} // namespace poster
