#pragma once
// What `poster sync` and `poster fetch` show: bars on a terminal, else a line for each thing that came to its end; or
// JSON lines.

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include <engine.hpp>

namespace poster {

// "[=====>    ]  42%  1.2 GB of 2.8 GB  85 MB/s  19s left", at most `columns` wide.
std::string transfer_bar(const std::string& label, std::uint64_t done, std::uint64_t total,
                         std::chrono::duration<double> elapsed, std::size_t columns);

class SyncView : public SyncObserver {
public:
    enum class Form { bars, lines, json, errors };
    enum class Way { to, from }; // the remote
    explicit SyncView(Form form, Way way = Way::to);
    ~SyncView() override;

    void copies_begin(const std::string& run, const std::string& callback, const std::string& destination,
                      std::size_t files, std::uint64_t bytes) override;
    void bytes_moved(const std::string& run, const std::string& callback, const std::string& path,
                     std::uint64_t bytes) override;
    void file_done(const std::string& run, const std::string& callback, const std::string& path, std::uint64_t bytes,
                   const Delivery& delivery) override;
    void copies_end(const std::string& run, const std::string& callback, const std::string& destination,
                    const Delivery& delivery) override;
    void message_done(const std::string& run, const std::string& callback, const std::string& kind,
                      const Delivery& delivery) override;
    void held(const std::string& run, const std::string& callback) override;
    bool is_held(const std::string& run, const std::string& callback) const { return held_.contains({callback, run}); }

private:
    struct Transfer {
        std::string destination;
        std::size_t files = 0, files_done = 0, files_told = 0;
        std::uint64_t bytes = 0, moved = 0;
        std::chrono::steady_clock::time_point since{};
    };
    void print(const std::string& line);
    void draw(bool now);
    void erase();

    Form form_;
    const char* preposition_;
    std::size_t columns_ = 80;
    std::map<std::pair<std::string, std::string>, Transfer> transfers_; // by callback and run
    std::set<std::pair<std::string, std::string>> held_;                // likewise; each is told once
    std::size_t drawn_ = 0;                                             // lines
    std::chrono::steady_clock::time_point next_draw_{};
};

} // namespace poster
