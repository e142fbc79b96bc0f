#include "printed_states.hpp"

#include <algorithm>

namespace poster {

namespace {

constexpr std::size_t kLongestSequence = 1 << 16; // a title that never ends must not swallow the log

bool is_control(char byte) {
    return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
}

} // namespace

void PrintedStates::feed(std::string_view bytes, std::int64_t time_ms) {
    for (std::size_t i = 0; i < bytes.size();) {
        if (mode_ != Mode::text) {
            take_sequence(bytes[i++]);
            continue;
        }
        const auto begin = bytes.begin() + std::ptrdiff_t(i);
        const auto end = std::find_if(begin, bytes.end(), is_control);
        if (end != begin) {
            if (returned_) hand_on(false);
            append(bytes.substr(i, std::size_t(end - begin)));
            time_ms_ = time_ms;
            i += std::size_t(end - begin);
        } else {
            if (bytes[i] == '\n') time_ms_ = time_ms;
            control(bytes[i++]);
        }
    }
}

void PrintedStates::append(std::string_view text) {
    text_.append(text.substr(0, kLongest - std::min(text_.size(), kLongest)));
}

void PrintedStates::hand_on(bool final) {
    returned_ = false;
    if (!text_.empty()) sink_({text_, time_ms_, final});
    text_.clear();
}

void PrintedStates::control(char byte) {
    switch (byte) {
    case '\n':
    case '\v':
    case '\f': hand_on(true); return;
    case '\r':
    case '\b': returned_ = true; return;
    case '\t':
        if (returned_) hand_on(false);
        append("\t");
        return;
    case 0x1b: mode_ = Mode::escape; return;
    default: return;
    }
}

void PrintedStates::take_sequence(char byte) {
    const Mode mode = mode_;
    mode_ = Mode::text;
    switch (mode) {
    case Mode::escape:
        sequence_length_ = 0;
        if (byte == '[')
            mode_ = Mode::csi;
        else if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_')
            mode_ = Mode::string;
        else if (byte >= ' ' && byte <= '/')
            mode_ = Mode::charset;
        else if (is_control(byte))
            control(byte);
        return;
    case Mode::csi:
        if (byte == '\n' || byte == 0x1b) return control(byte);
        if (byte >= 0x40 && byte <= 0x7e) {
            // Cursor moves and erasures, but for the rest of a line (K): what comes next stands elsewhere, or over it.
            if (std::string_view("ABEFGHJdf").find(byte) != std::string_view::npos) returned_ = true;
        } else if (++sequence_length_ < 256) {
            mode_ = Mode::csi;
        }
        return;
    case Mode::string:
    case Mode::string_escape:
        if (byte == '\n') return control(byte);
        if (byte == 0x07 || (mode == Mode::string_escape && byte == '\\')) return;
        if (++sequence_length_ < kLongestSequence) mode_ = byte == 0x1b ? Mode::string_escape : Mode::string;
        return;
    default: return;
    }
}

void PrintedStates::finish() {
    hand_on(true);
    mode_ = Mode::text;
}

} // namespace poster
