package scan

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// changeTimeAt returns when the data or the attributes of the file at path last changed. Unlike the
// modification time, programs rarely set it. It is 0 if the file system does not have it.
func changeTimeAt(path string, _ os.FileInfo) int64 {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES, share, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return 0
	}
	defer windows.CloseHandle(h)
	return changeTimeOf(h)
}

// changeTimeIn is changeTimeAt for an open file.
func changeTimeIn(f *os.File, _ os.FileInfo) int64 { return changeTimeOf(windows.Handle(f.Fd())) }

func changeTimeOf(h windows.Handle) int64 {
	var info struct { // FILE_BASIC_INFO
		creation, lastAccess, lastWrite, change windows.Filetime
		attributes                              uint32
		_                                       uint32
	}
	err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo,
		(*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil || info.change == (windows.Filetime{}) {
		return 0
	}
	return info.change.Nanoseconds()
}
